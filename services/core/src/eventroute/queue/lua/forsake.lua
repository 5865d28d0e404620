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
local letters = redis.call('HSCAN', holding(path), 0, 'COUNT', ARGV[3])[2]
for i = 1, #letters, 2 do
  let_go(path, letters[i]) -- what waits behind them is forsaken too
end

-- Makes ready what is parked of the route, among the next ones of a cause; returns the order of the last that was looked
-- at, from where the next call goes on, or nil at the end.
local function call_in(cause, after)
  local ids = redis.call('ZRANGEBYSCORE', parked(cause), '(' .. after, '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
  for i = 1, #ids, 2 do
    if redis.call('HGET', delivery(ids[i]), 'path') == path then
      unpark(cause, ids[i])
    end
  end
  return #ids == 2 * ARGV[3] and ids[#ids] or nil
end

local seen = {}
for _, cause in ipairs(redis.call('HKEYS', P .. 'causes')) do
  if (tonumber(redis.call('HGET', P .. 'parked_of:' .. cause, path)) or 0) > 0 then
    seen[cause] = call_in(cause, told.seen and told.seen[cause] or 0)
  end
end
if told.seen or next(seen) then
  told.seen = next(seen) and seen
  redis.call('HSET', HELD, path, cjson.encode(told))
end

local count = 0
while count < tonumber(ARGV[3]) do -- one after the other: each may bring the next of its lane
  local id = redis.call('ZPOPMIN', ready(path))[1]
  if not id then
    break
  end
  count = count + 1
  charge(path, -1, -redis.call('HSTRLEN', delivery(id), 'body'))
  bury(path, id, 'route_deleted', 'the route was deleted and did not come back')
end
bound_dead(path)
if count == 0 and (tonumber(redis.call('HGET', route(path), 'depth')) or 0) <= 0 then
  redis.call('HDEL', HELD, path)
end
return count
