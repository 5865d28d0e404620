#!lua flags=allow-oom
-- Adds a delivery's conclusion to its entity's history, once, at its place in the order of receipt.
--
-- ARGV     1 delivery id  2 fence  3 the history  4 order of receipt  5 entry  6 how many entries to keep
--          7 lifetime of the history in seconds
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
local key, history = delivery(ARGV[1]), P .. 'history:' .. ARGV[3]
if redis.call('HEXISTS', key, 'remembered') == 0 then
  redis.call('ZREMRANGEBYSCORE', history, ARGV[4], ARGV[4]) -- what it concluded before it was replayed as a whole
  redis.call('ZADD', history, ARGV[4], ARGV[5])
  redis.call('ZREMRANGEBYRANK', history, 0, -1 - tonumber(ARGV[6]))
  redis.call('EXPIRE', history, ARGV[7])
  redis.call('HSET', key, 'remembered', '1') -- last: an error does not undo what came before it
end
return 1
