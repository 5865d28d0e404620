#!lua flags=allow-oom
-- Lets a delivery wait for people's word on calls of tools; it costs nothing while it waits.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 until when it waits, in ms  5 for what, for whoever looks
--          6.. per call its id, and what is asked
-- returns  1, or 0 when the lease is lost

local id, key, path, until_ms = ARGV[1], delivery(ARGV[1]), ARGV[3], tonumber(ARGV[4])
if not holds(id, ARGV[2]) then
  return 0
end
for i = 6, #ARGV, 2 do
  redis.call('HSET', key, ASK .. ARGV[i], ARGV[i + 1])
  redis.call('HDEL', key, WORD .. ARGV[i]) -- it was on another call
end
local seq = interrupt(path, id)
if not seq then
  return 1
end
redis.call('HSET', key, 'state', 'later', 'due', until_ms, 'asks', (#ARGV - 5) / 2, 'last_error', ARGV[5])
redis.call('ZADD', LATER, until_ms, id)
redis.call('ZADD', APPROVALS, until_ms, id)
wake(1) -- somebody has to wait for its time
return 1
