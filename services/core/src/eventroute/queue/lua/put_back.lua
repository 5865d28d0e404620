#!lua flags=allow-oom
-- Puts a delivery back, to be tried again after a pause, or at once.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 pause in ms  5 "1" when the attempt counts
--          6 why, for whoever looks; empty keeps what was said before
-- returns  1, or 0 when the lease is lost

local id, key = ARGV[1], delivery(ARGV[1])
if not holds(id, ARGV[2]) then
  return 0
end
end_lease(ARGV[3], id)
local of = redis.call('HMGET', key, 'stage', 'seq')
if of[1] and ARGV[5] ~= '1' then
  redis.call('HINCRBY', key, 'attempts', -1)
  redis.call('HINCRBY', key, 'waits', 1)
end
redis.call('HDEL', key, 'state', 'stage')
if ARGV[5] == '1' then
  redis.call('HDEL', key, 'probe')
end
if ARGV[6] ~= '' then
  redis.call('HSET', key, 'last_error', ARGV[6])
end
local pause = is_outdone(id) and 0 or tonumber(ARGV[4])
redis.call('HSET', key, 'due', now + pause)
if pause > 0 then
  redis.call('HSET', key, 'state', 'later')
  redis.call('ZADD', LATER, now + pause, id)
  wake(1) -- somebody has to wait for its time
else
  make_ready(ARGV[3], id, of[2])
end
return 1
