#!lua flags=allow-oom
-- Ends a delivery: its outcome is written, its share of the queue is free, and its record begins to age.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 outcome  5 reason  6 detail
--          7 how long to keep the body, 8 the answer, 9 the record, in ms  10.. field, value, ... of the record
-- returns  1, or 0 when the lease is lost

local SHED = 4 -- of each phase: more than one delivery ends with. Arbitrary

local id, key, path = ARGV[1], delivery(ARGV[1]), ARGV[3]
if not holds(id, ARGV[2]) then
  return 0
end
-- An error does not undo what came before it. So what may be done twice comes first, and the lease is given up only then:
-- whoever could not end the delivery still has it, and tries again.
local size = redis.call('HSTRLEN', key, 'body')
if ARGV[4] == 'dead' then
  if #ARGV > 9 then
    redis.call('HSET', key, unpack(ARGV, 10))
  end
  bury(path, id, ARGV[5], ARGV[6])
else
  redis.call('HDEL', key, 'stage', 'due', 'waits', 'cuts', 'probe', 'last_error', 'reason')
  redis.call('HSET', key, 'state', 'settled', 'outcome', ARGV[4], 'detail', ARGV[6], 'finished', now, unpack(ARGV, 10))
  redis.call('HSET', route(path), 'keep_bodies', ARGV[7], 'keep_answers', ARGV[8], 'keep_records', ARGV[9])
  redis.call('ZADD', finished('bodies', path), now, id)
  redis.call('PEXPIRE', key, math.max(tonumber(ARGV[9]), 1))
end
charge(path, -1, -size)
end_lease(path, id)
if ARGV[4] == 'dead' then
  bound_dead(path)
else
  resign(path, id)
  leave(path, id, redis.call('HGET', key, 'lane'))
  shed_due(path, SHED)
end
return 1
