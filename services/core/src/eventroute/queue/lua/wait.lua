#!lua flags=allow-oom
-- Lets a delivery wait until the throttle has a place for it, in the order of acceptance among its route's; it costs
-- nothing while it waits.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 bucket  5 bytes of its prompt  6 most tokens of its answer
--          7 the earliest time at which there may be a place, in ms; 0 = now  8 why, for whoever looks; may be empty
-- returns  1, or 0 when the lease is lost

local id, key, path, bucket = ARGV[1], delivery(ARGV[1]), ARGV[3], ARGV[4]
if not holds(id, ARGV[2]) then
  return 0
end
local seq = interrupt(path, id)
if not seq then
  return 1
end
redis.call('HSET', key, 'state', 'throttled', 'cause', bucket, 'size', ARGV[5] .. ':' .. ARGV[6])
if ARGV[8] ~= '' then
  redis.call('HSET', key, 'last_error', ARGV[8])
end
redis.call('ZADD', waiting(bucket, path), seq, id)
queue_up(waiting_routes(bucket), path, 'NX')
redis.call('ZADD', TURNS, 'LT', math.max(tonumber(ARGV[7]), now), bucket)
wake(1) -- somebody has to wait for its time
return 1
