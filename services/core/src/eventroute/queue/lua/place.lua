#!lua flags=allow-oom
-- Remembers where a sink has told of a subject, so that the next answer about it changes what stands there, or recalls it.
--
-- ARGV     1 delivery id  2 fence  3 the sink and the subject  4 what to remember; empty = recall  5 lifetime in seconds
-- returns  what is remembered, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
local key = P .. 'place:' .. ARGV[3]
if ARGV[4] == '' then
  return redis.call('GET', key) or ''
end
redis.call('SET', key, ARGV[4], 'EX', ARGV[5])
return ARGV[4]
