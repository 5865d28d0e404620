#!lua flags=allow-oom
-- Says how many deliveries of each route may run at once; a route that has room by that takes turns again.
--
-- ARGV     per route: path, how many, 0 = any
-- returns  nothing

for i = 1, #ARGV, 2 do
  local path = ARGV[i]
  if ARGV[i + 1] == '0' then
    redis.call('HDEL', LIMITS, path)
  else
    redis.call('HSET', LIMITS, path, ARGV[i + 1])
  end
  come_back(path)
end
