#!lua flags=no-writes
-- Counts what the autoscaler and people go by.
--
-- returns  {ready, running, later, throttled, all that is queued, 1 in the first group while the installation is stopped,
--          {path of a held route, how many of its deliveries would be ready, ...}, how many are parked; what is in none
--          of the first four is held; per bucket of the throttle {bucket, how many wait for it, how many of these may
--          run, how many are ready whose route asked by it last}, ...}
--
-- Ready are no more of a route than may run: another worker would be of no use for the others.

local function ready_of(path)
  return math.min(redis.call('ZCARD', ready(path)), math.max(room(path), 0))
end

local count, throttled, of = 0, 0, {}
for _, bucket in ipairs(redis.call('ZRANGE', TURNS, 0, -1)) do
  of[bucket] = {0, 0, 0}
  for _, path in ipairs(redis.call('ZRANGE', waiting_routes(bucket), 0, -1)) do
    local own = redis.call('ZCARD', waiting(bucket, path))
    of[bucket][1] = of[bucket][1] + own
    of[bucket][2] = of[bucket][2] + math.min(own, math.max(room(path), 0) - ready_of(path))
  end
  throttled = throttled + of[bucket][1]
end
for _, path in ipairs(redis.call('ZRANGE', SENDINGS, 0, -1)) do
  count = count + redis.call('ZCARD', ready(path))
end
for _, path in ipairs(redis.call('ZRANGE', ROTATION, 0, -1)) do
  local own = ready_of(path)
  count = count + own
  local bucket = redis.call('HGET', route(path), 'bucket')
  if bucket then
    of[bucket] = of[bucket] or {0, 0, 0}
    of[bucket][3] = of[bucket][3] + own
  end
end
local held = {}
for _, path in ipairs(redis.call('HKEYS', HELD)) do
  held[#held + 1] = path
  held[#held + 1] = ready_of(path)
end
local waiting_for_causes = 0
for _, cause in ipairs(redis.call('HKEYS', P .. 'causes')) do
  waiting_for_causes = waiting_for_causes + redis.call('ZCARD', parked(cause))
end
local due = redis.call('ZCOUNT', LATER, '-inf', now)
local reply = {
  count + due + redis.call('ZCARD', SUSPECTS), redis.call('ZCARD', RUNNING), redis.call('ZCARD', LATER) - due, throttled,
  tonumber(redis.call('HGET', USAGE, 'depth')) or 0, redis.call('HEXISTS', STOP, 'since'), held,
  waiting_for_causes,
}
for bucket, counts in pairs(of) do
  reply[#reply + 1] = {bucket, counts[1], counts[2], counts[3]}
end
return reply
