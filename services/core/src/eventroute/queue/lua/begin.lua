#!lua flags=allow-oom
-- Begins an attempt: it counts from here on. The record comes back as it was, so that the attempt goes on from what
-- earlier ones have saved.
--
-- ARGV     1 delivery id  2 fence  3 traceparent of this attempt, may be empty  4 the route's path
-- returns  {now in ms, attempts including this one, when the route was released last in ms or nil, field, value, ...},
--          or nil when the lease is lost

local id, key = ARGV[1], delivery(ARGV[1])
if not holds(id, ARGV[2]) then
  return false
end
local fields = redis.call('HGETALL', key)
local attempts = redis.call('HINCRBY', key, 'attempts', 1)
redis.call('HSET', key, 'stage', is_sending(ARGV[4]) and 'asking' or 'begun') -- a crash is hardly an answer's doing
if ARGV[3] ~= '' then
  redis.call('HSET', key, 'last_traceparent', ARGV[3])
end
return {tostring(now), attempts, redis.call('HGET', route(ARGV[4]), 'released'), unpack(fields)}
