#!lua flags=allow-oom
-- Lets routes take turns again.
--
-- ARGV     1.. paths
-- returns  how many of them were held

local count = 0
for _, path in ipairs(ARGV) do
  if redis.call('HDEL', HELD, path) == 1 then
    count = count + 1
    redis.call('HSET', route(path), 'released', now) -- the time that it was held counts against no deadline
    come_back(path)
  end
end
return count
