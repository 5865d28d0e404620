#!lua flags=allow-oom
-- Writes one piece of a publication; the last one makes all of them the table's new version, and announces it.
--
-- KEYS  1 the plane's table
-- ARGV  1 the version that the publisher has read, 0 = none
--       2 the mark that it has read, or left with its piece before; empty = none
--       3 the mark to leave, another one with each piece; empty = this is the last piece
--       4 the new version   5 channel   6 announcement; they count with the last piece only
--       from 7 on: path, sealed entry, path, …; an empty entry removes the path
--
-- Returns 1, or 0 when another publisher came between: then nothing was written.
--
-- Also in a Redis that is full, which is when routes are suspended and removed. A mark that stays tells the next
-- publisher of entries that were changed and never announced.

local table = KEYS[1]
local found = redis.call('HMGET', table, '@version', '@unfinished')
if (found[1] or '0') ~= ARGV[1] or (found[2] or '') ~= ARGV[2] then
  return 0
end
for position = 7, #ARGV, 2 do
  if ARGV[position + 1] == '' then
    redis.call('HDEL', table, ARGV[position])
  else
    redis.call('HSET', table, ARGV[position], ARGV[position + 1])
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', table, '@unfinished', ARGV[3])
  return 1
end
redis.call('HDEL', table, '@unfinished')
redis.call('HSET', table, '@version', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return 1
