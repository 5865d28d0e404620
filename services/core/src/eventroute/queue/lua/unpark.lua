#!lua flags=allow-oom
-- Makes parked deliveries ready again, in their order: all of a cause when it is mended, or one to see whether it is.
--
-- ARGV     1 cause  2 how many, at most  3 ms since the last probe before which a probe does nothing; empty: it is mended
-- returns  how many were made ready, and how many still wait

local PROBED = 500 -- looked at for one that may run; arbitrary

-- One of a held route would see nothing, and wait there with all those that are sent after it.
local function first_of_a_route_with_turns(ids)
  for _, id in ipairs(ids) do
    local path = redis.call('HGET', delivery(id), 'path')
    if not path or redis.call('HEXISTS', HELD, path) == 0 then
      return id
    end
  end
end

local cause, count = ARGV[1], tonumber(ARGV[2])
local is_probe = ARGV[3] ~= ''
if is_probe and now - (tonumber(redis.call('HGET', P .. 'probed', cause)) or 0) < tonumber(ARGV[3]) then
  return {0, redis.call('ZCARD', parked(cause))}
end
local ids = redis.call('ZRANGE', parked(cause), 0, is_probe and PROBED - 1 or count - 1)
if is_probe then
  ids = {first_of_a_route_with_turns(ids)}
end
for _, id in ipairs(ids) do
  unpark(cause, id, is_probe)
end
local left = redis.call('ZCARD', parked(cause))
if is_probe then
  redis.call('HSET', P .. 'probed', cause, now)
elseif left == 0 then
  forget(cause)
end
return {#ids, left}
