#!lua flags=allow-oom
-- Makes parked deliveries ready again, in their order: all of a cause when it is mended, or one to see whether it is.
--
-- ARGV     1 cause  2 how many, at most  3 ms since the last probe before which a probe does nothing; empty: it is mended
-- returns  how many were made ready, or sent as a probe, and how many still wait

local PASSED = 200 -- per call, of routes that take no turns: some 2 ms of Redis' time. Arbitrary

local cause, every_ms = ARGV[1], tonumber(ARGV[3])

-- Sends the first one of a route that takes turns. One of a held route would see nothing: it goes to where its route's
-- others wait, and is in the way of no probe.
local function probe()
  for _, id in ipairs(redis.call('ZRANGE', parked(cause), 0, PASSED - 1)) do
    local path = redis.call('HGET', delivery(id), 'path')
    local is_sent = path and redis.call('HEXISTS', HELD, path) == 0
    unpark(cause, id, is_sent)
    if is_sent then
      redis.call('HSET', P .. 'probed', cause, now)
      return 1
    end
  end
  return 0
end

if every_ms then
  local is_due = now - (tonumber(redis.call('HGET', P .. 'probed', cause)) or 0) >= every_ms
  local sent = is_due and probe() or 0
  return {sent, redis.call('ZCARD', parked(cause))}
end
local ids = redis.call('ZRANGE', parked(cause), 0, tonumber(ARGV[2]) - 1)
for _, id in ipairs(ids) do
  unpark(cause, id)
end
local left = redis.call('ZCARD', parked(cause))
if left == 0 then
  forget(cause)
end
return {#ids, left}
