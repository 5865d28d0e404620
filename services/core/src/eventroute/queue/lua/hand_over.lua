#!lua flags=allow-oom
-- Hands an answer over to sinks: to each, as something to be sent that has attempts and an end of its own.
--
-- It is a delivery of the path `<route>/<sink>`, with the same body, in the same lane. A sink that is marked
-- has been handed it. Where it is not and there is such a delivery, somebody has asked for another run: one that has ended
-- is sent again, and one that has not gets the answer of now.
--
-- ARGV     1 delivery id  2 fence  3 the route's path  4 the answer  5.. names of sinks
-- returns  1, or 0 when the lease is lost

local id, key, path, answer = ARGV[1], delivery(ARGV[1]), ARGV[3], ARGV[4]
if not holds(id, ARGV[2]) then
  return 0
end

local function forget_ended(own, own_id)
  if redis.call('HGET', delivery(own_id), 'state') == 'dead' then
    drop_dead(own, own_id)
  end
  for _, kind in ipairs({'bodies', 'answers', 'records'}) do
    redis.call('ZREM', finished(kind, own), own_id)
  end
  redis.call('UNLINK', delivery(own_id))
end

-- A worker that sends the former answer has lost its lease by that.
local function replace(own, own_id, seq)
  if redis.call('HGET', delivery(own_id), 'answer') == answer then
    return
  end
  redis.call('HSET', delivery(own_id), 'answer', answer, 'since', now)
  if redis.call('ZSCORE', RUNNING, own_id) then
    end_lease(own, own_id)
    redis.call('HINCRBY', delivery(own_id), 'fence', 1)
    redis.call('HDEL', delivery(own_id), 'state', 'stage', 'attempts')
    redis.call('HSET', delivery(own_id), 'due', now)
    make_ready(own, own_id, seq)
  end
end

local of = redis.call('HMGET', key, 'body', 'at', 'seq', 'order', 'trace', 'lane')

local function hand_over(own, own_id)
  local seq = of[4] or of[3]
  local state = redis.call('HMGET', delivery(own_id), 'path', 'state', 'fence')
  if state[1] and state[2] ~= 'dead' and state[2] ~= 'settled' then
    replace(own, own_id, seq)
    return
  end
  forget_ended(own, own_id)
  redis.call('HSET', delivery(own_id), 'path', own, 'body', of[1], 'answer', answer, 'at', of[2], 'seq', seq,
    'since', now, 'due', now, unpack(of[5] and {'trace', of[5]} or {}))
  if state[3] then
    redis.call('HSET', delivery(own_id), 'fence', state[3]) -- whoever had it must not end it again
  end
  if of[6] and of[6] ~= '' then
    redis.call('HSET', delivery(own_id), 'lane', of[6])
  end
  charge(own, 1, #of[1])
  redis.call('SADD', P .. 'routes', own)
  make_ready(own, own_id, seq)
end

for i = 5, #ARGV do
  local mark = 'sink:' .. ARGV[i]
  if redis.call('HEXISTS', key, mark) == 0 then
    hand_over(path .. '/' .. ARGV[i], id .. ':' .. ARGV[i])
    redis.call('HSET', key, mark, '1') -- last: whoever comes again does what is left
  end
end
return 1
