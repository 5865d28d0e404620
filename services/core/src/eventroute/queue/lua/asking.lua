#!lua flags=allow-oom
-- Notes that Claude is about to be asked for a delivery, and by which bucket of the throttle its route asks.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 bucket
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', delivery(ARGV[1]), 'stage', 'asking')
redis.call('HSET', route(ARGV[3]), 'bucket', ARGV[4])
return 1
