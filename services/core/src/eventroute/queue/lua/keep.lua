#!lua flags=allow-oom
-- Keeps the queue in order: one worker at a time, a bounded part of the routes per call.
--
-- What is over by its route's retention goes; dead letters that nobody could read any more leave their set; a route that
-- has ready deliveries and may take turns takes them, whatever went wrong before.
--
-- ARGV     1 worker id  2 for how long nobody else keeps, in ms  3 cursor over the routes, "0" to begin
--          4 how many routes, about  5 how much to shed of each phase of a route
-- returns  {next cursor, "0" at the end; how much was shed}, or nil when another worker keeps the queue

local KEEPER = P .. 'keeper'
local holder = redis.call('GET', KEEPER)
if holder and holder ~= ARGV[1] then
  return false
end
redis.call('SET', KEEPER, ARGV[1], 'PX', ARGV[2])
local page = redis.call('SSCAN', P .. 'routes', ARGV[3], 'COUNT', ARGV[4])
local count = 0
for _, path in ipairs(page[2]) do
  count = count + shed_due(path, tonumber(ARGV[5]))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', dead(path), '-inf', now - DEAD_MS, 'LIMIT', 0, tonumber(ARGV[5]))) do
    drop_dead(path, id)
  end
  bound_dead(path)
  if redis.call('ZCARD', dead(path)) == 0 then
    redis.call('HDEL', route(path), 'dead_bytes')
  end
  for _, id in ipairs(redis.call('SMEMBERS', active(path))) do
    if not redis.call('ZSCORE', RUNNING, id) then -- its lease ran out after somebody had removed its record
      redis.call('SREM', active(path), id)
    end
  end
  if redis.call('SISMEMBER', STRICT, path) == 0 then
    local letters = redis.call('HSCAN', holding(path), 0, 'COUNT', ARGV[5])[2]
    for i = 1, #letters, 2 do -- the route's lanes go on by now
      let_go(path, letters[i])
    end
  end
  if redis.call('ZCARD', ready(path)) > 0 then
    join(path)
  end
end
return {page[1], count}
