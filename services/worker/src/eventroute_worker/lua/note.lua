#!lua flags=allow-oom
-- Note something on a run.
--
-- KEYS  1 run
-- ARGV  1 field  2 value

redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
