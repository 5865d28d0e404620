#!lua flags=allow-oom
-- Save an answer, the checkpoint after which no attempt asks again. The first one saved is the one that counts, should
-- two workers have asked.
--
-- KEYS  1 run
-- ARGV  1 answer
-- returns the answer that counts

redis.call('HSETNX', KEYS[1], 'answer', ARGV[1])
return redis.call('HGET', KEYS[1], 'answer')
