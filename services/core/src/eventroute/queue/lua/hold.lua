#!lua flags=allow-oom
-- Holds a route: it takes no more turns, and what it has waits where it is.
--
-- ARGV     1 path  2 reason  3 detail  4 the route's generation by which it is held
-- returns  1 when it was not held for this reason before

local before = redis.call('HGET', HELD, ARGV[1])
redis.call('ZREM', rotation_of(ARGV[1]), ARGV[1])
if before and cjson.decode(before).reason == ARGV[2] then
  return 0
end
redis.call('HSET', HELD, ARGV[1], cjson.encode({reason = ARGV[2], detail = ARGV[3], since = now, generation = tonumber(ARGV[4])}))
return 1
