#!lua flags=allow-oom
-- Adds an answer to a stream and marks the sink as done, both or neither, and once.
--
-- ARGV     1 delivery id  2 fence  3 field of the mark  4 the stream  5 how many entries to keep, about
--          6.. field, value, ... of the entry
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
local key = delivery(ARGV[1])
if redis.call('HEXISTS', key, ARGV[3]) == 0 then
  redis.call('XADD', P .. 'stream:' .. ARGV[4], 'MAXLEN', '~', ARGV[5], '*', unpack(ARGV, 6))
  redis.call('HSET', key, ARGV[3], '1') -- last: an error does not undo what came before it
end
return 1
