#!lua flags=allow-oom
-- Gives what is about to be sent its turn at a destination, which takes one thing at a time: now, or a time of its own.
--
-- Whoever comes back at its time does not ask for another one, unless the destination wants to be left alone by then. Of
-- one that takes any number only that counts.
--
-- ARGV     1 delivery id  2 fence  3 destination  4 ms from one turn to the next, 0 = any number  5 ms for which a turn that
--          was missed is kept
-- returns  1 = now, or 1 and the ms until its turn; 0 when the lease is lost

local id, key = ARGV[1], delivery(ARGV[1])
if not holds(id, ARGV[2]) then
  return 0
end
local interval, destination = tonumber(ARGV[4]), P .. 'pace:' .. ARGV[3]
local of = redis.call('HMGET', destination, 'free', 'spared')
local free, spared = tonumber(of[1] or '0'), tonumber(of[2] or '0')
local turn = tonumber(redis.call('HGET', key, 'turn') or '0')
local is_turn = turn > 0 and turn <= now and now - turn <= tonumber(ARGV[5])
redis.call('HDEL', key, 'turn')
if is_turn and spared <= now then
  return 1
end
local at = math.max(now, free, spared)
if interval > 0 then
  redis.call('HSET', destination, 'free', at + interval)
  redis.call('PEXPIRE', destination, at + interval - now)
end
if at == now then
  return 1
end
if interval > 0 then
  redis.call('HSET', key, 'turn', at)
end
return 1 + at - now
