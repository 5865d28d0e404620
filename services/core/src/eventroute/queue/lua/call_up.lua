#!lua flags=allow-oom
-- Makes deliveries ready that the throttle has granted a place, and says when it is worth asking for the next ones.
--
-- ARGV     1 bucket  2 when, in ms  3.. delivery id, path, ...
-- returns  how many of these still waited

local bucket, count = ARGV[1], 0
for i = 3, #ARGV, 2 do
  if call_up(bucket, ARGV[i + 1], ARGV[i], true) then
    count = count + 1
  end
end
if redis.call('ZCARD', waiting_routes(bucket)) == 0 then
  redis.call('ZREM', TURNS, bucket)
else
  redis.call('ZADD', TURNS, math.max(tonumber(ARGV[2]), now), bucket)
  wake(1) -- somebody has to wait for its time
end
return count
