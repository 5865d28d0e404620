#!lua flags=allow-oom
-- Notes by which bucket of the throttle a route asks, for whoever counts what there is to do.
--
-- ARGV     1 path  2 bucket
-- returns  nothing

redis.call('HSET', route(ARGV[1]), 'bucket', ARGV[2])
