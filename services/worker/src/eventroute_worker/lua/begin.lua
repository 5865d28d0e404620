#!lua flags=allow-oom
-- Begin an attempt: read the delivery and what earlier attempts have saved, and note this attempt's trace context.
-- A delivery that comes again after it has settled is under way again: its record keeps the answer, and does not expire.
--
-- KEYS  1 delivery  2 run
-- ARGV  1 traceparent of this attempt, may be empty
-- returns {delivery or nil, {field, value, ...} of the run as it was}

local delivery = redis.call('GET', KEYS[1])
local run = redis.call('HGETALL', KEYS[2])
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[2], 'last_traceparent', ARGV[1])
end
redis.call('HDEL', KEYS[2], 'outcome', 'reason', 'detail', 'finished_ms')
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
return {delivery, run}
