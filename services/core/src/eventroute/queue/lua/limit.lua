#!lua flags=allow-oom
-- Says how many deliveries of each route may run at once, and whether its dead letters hold their lanes; a route that has
-- room by that takes turns again. What is held and no longer to be, the keeper lets go.
--
-- ARGV     per route: path, how many, 0 = any, "1" when its dead letters hold their lanes
-- returns  nothing

for i = 1, #ARGV, 3 do
  local path = ARGV[i]
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', LIMITS, path)
  else
    redis.call('HSET', LIMITS, path, ARGV[i + 1])
  end
  redis.call(ARGV[i + 2] == '1' and 'SADD' or 'SREM', STRICT, path)
  if room(path) <= 0 then
    redis.call('ZREM', ROTATION, path)
  end
  come_back(path)
end
