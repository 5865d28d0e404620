#!lua flags=allow-oom
-- Put a job back: due again after a pause, its lease given up, and a worker woken to take it or to wait for it.
--
-- KEYS  1 queue  2 wake list  3 lease  4 tries
-- ARGV  1 delivery id  2 worker id  3 pause in ms  4 "1" when the try counts  5 how many wake tokens, at most
-- returns 1, or 0 when the lease was lost: then another worker decides, and nothing changes

if redis.call('GET', KEYS[3]) ~= ARGV[2] then
  return 0
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

redis.call('ZADD', KEYS[1], 'XX', now + tonumber(ARGV[3]), ARGV[1])
redis.call('DEL', KEYS[3])
if ARGV[4] ~= '1' then
  redis.call('DECR', KEYS[4])
end
redis.call('LPUSH', KEYS[2], '1')
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[5]) - 1)
return 1
