#!lua flags=allow-oom
-- Saves an answer, the checkpoint after which no attempt asks again. One that comes after the lease ran out is kept too
-- as long as nobody has taken the delivery since: it has been paid for.
--
-- ARGV     1 delivery id  2 fence  3 answer
-- returns  1, or 0 when the lease is lost

local id, key = ARGV[1], delivery(ARGV[1])
local of = redis.call('HMGET', key, 'fence', 'state')
if of[1] ~= ARGV[2] or of[2] == 'settled' or of[2] == 'dead' then
  return 0
end
redis.call('HSET', key, 'answer', ARGV[3], 'saved', now)
redis.call('HDEL', key, 'waits')
return holds(id, ARGV[2]) and 1 or 0
