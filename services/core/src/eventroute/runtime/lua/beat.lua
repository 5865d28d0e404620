#!lua flags=allow-oom
-- Says what a process serves, also in a Redis that is full: else a full one would look like one without receivers.
--
-- KEYS  1 the process   2 the ids of its plane's processes
-- ARGV  1 its state as JSON   2 its id   3 lifetime in seconds

redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
redis.call('SADD', KEYS[2], ARGV[2])
