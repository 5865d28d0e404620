#!lua flags=allow-oom
-- Add a delivery's conclusion to its entity's history, once.
--
-- KEYS  1 run  2 history
-- ARGV  1 entry  2 how many entries to keep  3 lifetime of the history in seconds
-- returns 1, or 0 when this delivery's was there already

if redis.call('HEXISTS', KEYS[1], 'remembered') == 1 then
  return 0
end
redis.call('LPUSH', KEYS[2], ARGV[1])
redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[2]) - 1)
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('HSET', KEYS[1], 'remembered', '1') -- last: an error does not undo what came before it
return 1
