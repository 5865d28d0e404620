#!lua flags=allow-oom
-- Leaves a destination alone for a while, as it has asked.
--
-- ARGV     1 delivery id  2 fence  3 destination  4 ms
-- returns  1, or 0 when the lease is lost

if not holds(ARGV[1], ARGV[2]) then
  return 0
end
local destination, after = P .. 'pace:' .. ARGV[3], now + tonumber(ARGV[4])
local of = redis.call('HMGET', destination, 'free', 'spared')
if after > tonumber(of[2] or '0') then
  redis.call('HSET', destination, 'spared', after)
  redis.call('PEXPIRE', destination, math.max(after, tonumber(of[1] or '0')) - now)
end
return 1
