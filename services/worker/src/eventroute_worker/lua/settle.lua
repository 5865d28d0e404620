#!lua flags=allow-oom
-- End a delivery: write how, let its records age, list a dead one, and remove it from arq, all or nothing.
--
-- KEYS  1 queue  2 job  3 lease  4 tries  5 delivery  6 run  7 dead letters
-- ARGV  1 delivery id  2 worker id  3 lifetime of the delivery in ms  4 of the run in ms  5 "1" for a dead letter
--       6.. field, value, ... of the run's record; `finished_ms` is added here
-- returns 1, or 0 when the lease was lost: then another worker decides, and nothing changes

if redis.call('GET', KEYS[3]) ~= ARGV[2] then
  return 0
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

redis.call('HSET', KEYS[6], 'finished_ms', now, unpack(ARGV, 6))
redis.call('PEXPIRE', KEYS[6], ARGV[4])
redis.call('PEXPIRE', KEYS[5], ARGV[3])
if ARGV[5] == '1' then
  redis.call('ZADD', KEYS[7], now, ARGV[1])
else
  redis.call('ZREM', KEYS[7], ARGV[1]) -- a dead letter that was sent again
end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
return 1
