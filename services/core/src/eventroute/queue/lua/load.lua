#!lua flags=no-writes
-- Counts what the autoscaler and people go by.
--
-- returns  {ready, running, later, all that is queued, 1 in the first group while the installation is stopped, {path of a
--          held route, how many of its deliveries would be ready, ...}}; what is in none of the first three is held

local count = 0
for _, path in ipairs(redis.call('ZRANGE', ROTATION, 0, -1)) do
  count = count + redis.call('ZCARD', ready(path))
end
local held = {}
for _, path in ipairs(redis.call('HKEYS', HELD)) do
  held[#held + 1] = path
  held[#held + 1] = redis.call('ZCARD', ready(path))
end
local due = redis.call('ZCOUNT', LATER, '-inf', now)
return {
  count + due + redis.call('ZCARD', SUSPECTS), redis.call('ZCARD', RUNNING), redis.call('ZCARD', LATER) - due,
  tonumber(redis.call('HGET', USAGE, 'depth')) or 0, redis.call('HEXISTS', STOP, 'since'), held,
}
