#!lua flags=allow-oom
-- Buries what a deleted route has left behind, some at a time, once it has been held for long enough.
--
-- ARGV     1 path  2 how long it must have been held in ms  3 how many, at most
-- returns  how many were buried; -1 when it is not (or not long enough) held as deleted

local path = ARGV[1]
local held = redis.call('HGET', HELD, path)
local told = held and cjson.decode(held)
if not told or told.reason ~= 'deleted' or now - told.since < tonumber(ARGV[2]) then
  return -1
end
local ids = redis.call('ZRANGE', ready(path), 0, tonumber(ARGV[3]) - 1)
for _, id in ipairs(ids) do
  redis.call('ZREM', ready(path), id)
  charge(path, -1, -redis.call('HSTRLEN', delivery(id), 'body'))
  bury(path, id, 'route_deleted', 'the route was deleted and did not come back')
end
bound_dead(path)
if #ids == 0 and (tonumber(redis.call('HGET', route(path), 'depth')) or 0) <= 0 then
  redis.call('HDEL', HELD, path)
end
return #ids
