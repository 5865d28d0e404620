#!lua flags=allow-oom
-- Notes something on a delivery that runs.
--
-- ARGV     1 delivery id  2 fence  3.. field, value, ...
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('HSET', delivery(ARGV[1]), unpack(ARGV, 3))
return 1
