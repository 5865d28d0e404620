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
    local waiting = redis.call('ZCARD', ready(path))
    if waiting > 0 then
      join(path)
      wake(waiting)
    end
  end
end
return count
