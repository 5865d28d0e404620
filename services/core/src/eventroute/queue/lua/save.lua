#!lua flags=allow-oom
-- Saves an answer, the checkpoint after which no attempt asks again. One that comes after the lease ran out is kept too
-- as long as nobody has taken the delivery since: it has been paid for.
--
-- An answer that is final ends its conversation with tools, of which nothing is kept. One that is not comes with the turn
-- of that conversation.
--
-- ARGV     1 delivery id  2 fence  3 answer  4 "1" when it is final: no newer event supersedes the delivery from here on
--          5.. field, value, ... of the conversation
-- returns  1, or the id of the delivery that has superseded it, or 0 when the lease is lost

local id, key = ARGV[1], delivery(ARGV[1])
local of = redis.call('HMGET', key, 'fence', 'state', 'superseded_by', 'newest_of')
if of[1] ~= ARGV[2] or of[2] == 'settled' or of[2] == 'dead' then
  return 0
end
redis.call('HSET', key, 'answer', ARGV[3], 'saved', now, unpack(of[4] and ARGV[4] == '1' and {'answered', '1'} or {}))
if #ARGV > 4 then
  redis.call('HSET', key, unpack(ARGV, 5))
end
if ARGV[4] == '1' then
  end_talk(key)
end
redis.call('HDEL', key, 'waits')
return holds(id, ARGV[2]) and (of[3] or 1) or 0
