#!lua flags=allow-oom
-- Add an answer to a stream and mark the sink as done, both or neither, and once.
--
-- KEYS  1 run  2 stream
-- ARGV  1 field of the mark  2 how many entries to keep, about  3.. field, value, ... of the entry
-- returns 1, or 0 when the mark was there already

if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], '*', unpack(ARGV, 3))
redis.call('HSET', KEYS[1], ARGV[1], '1') -- last: an error does not undo what came before it
return 1
