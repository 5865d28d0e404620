#!lua flags=allow-oom
-- Gives a person's word on a call of a tool; a delivery that waits for no other goes on.
--
-- ARGV     1 delivery id  2 the call's id  3 what the person was shown  4 the word
-- returns  "ok", or why not: "unknown", "not_asked" (its time is over, or it has ended), "changed" (other words are asked
--          about by now), "decided" (somebody was faster)

local id, key = ARGV[1], delivery(ARGV[1])
local of = redis.call('HMGET', key, 'path', 'state', 'asks', 'seq', ASK .. ARGV[2], WORD .. ARGV[2])
if not of[1] then
  return 'unknown'
elseif of[6] == ARGV[4] then
  return 'ok' -- the reply got lost
elseif of[6] then
  return 'decided'
elseif of[2] ~= 'later' or not of[3] or not of[5] then
  return 'not_asked'
elseif of[5] ~= ARGV[3] then
  return 'changed'
end
redis.call('HSET', key, WORD .. ARGV[2], ARGV[4])
if redis.call('HINCRBY', key, 'asks', -1) <= 0 then
  redis.call('ZREM', APPROVALS, id)
  redis.call('ZREM', LATER, id)
  redis.call('HDEL', key, 'state')
  redis.call('HSET', key, 'due', now)
  make_ready(of[1], id, of[4])
end
return 'ok'
