#!lua flags=allow-oom
-- Saves an answer, the checkpoint after which no attempt asks again.
--
-- ARGV     1 delivery id  2 fence  3 answer
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', delivery(ARGV[1]), 'answer', ARGV[3], 'saved', now)
redis.call('HDEL', delivery(ARGV[1]), 'waits')
return 1
