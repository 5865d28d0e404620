#!lua flags=allow-oom
-- Says that a bucket of the throttle may have a place now, such as when a call has ended.
--
-- ARGV     1 bucket
-- returns  1 when somebody waits for it

if not redis.call('ZSCORE', TURNS, ARGV[1]) then
  return 0
end
redis.call('ZADD', TURNS, 'LT', now, ARGV[1])
wake(1)
return 1
