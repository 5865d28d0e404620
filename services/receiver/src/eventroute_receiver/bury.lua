#!lua
-- Keeps a request that was genuine but unreadable as a dead letter, once however often the sender repeats it.
--
-- KEYS  1 delivery  2 dead letters
-- ARGV  1 delivery id  2 delivery  3 lifetime in seconds

local clock = redis.call('TIME')
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'EX', ARGV[3]) then
  redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[1])
end
return redis.status_reply('OK')
