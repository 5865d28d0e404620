#!lua flags=allow-oom
-- Parks a delivery until a standing fault of a key or model is mended, or a budget has room; it costs nothing while it
-- waits.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 cause  5 what is wrong, as JSON  6 why, for whoever looks
--          7 "1" when this one has just asked and heard of the fault
--          8 for a budget, what its call needs: "<millionths of USD> <tokens>"; empty when that is not known
-- returns  1, or 0 when the lease is lost

local id, key, path, cause = ARGV[1], delivery(ARGV[1]), ARGV[3], ARGV[4]
if not holds(id, ARGV[2]) then
  return 0
end
local seq = interrupt(path, id)
if not seq then
  return 1
end
redis.call('HDEL', key, 'probe')
redis.call('HSET', key, 'state', 'held', 'cause', cause, 'last_error', ARGV[6])
redis.call('ZADD', parked(cause), seq, id)
redis.call('HINCRBY', P .. 'parked_of:' .. cause, path, 1)
if ARGV[8] ~= '' then
  redis.call('HSET', key, 'need', ARGV[8])
end
if ARGV[7] == '1' then
  redis.call('HSET', P .. 'causes', cause, ARGV[5]) -- what is wrong by now, as with a budget whose period has turned
  redis.call('HSET', P .. 'probed', cause, now)
else
  redis.call('HSETNX', P .. 'causes', cause, ARGV[5])
end
return 1
