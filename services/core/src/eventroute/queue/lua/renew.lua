#!lua flags=allow-oom
-- Renews a worker's leases, and tells which ones it has lost. One that ran out and that nobody has taken is as good as
-- any.
--
-- ARGV     1 lease in ms  2.. delivery id, fence, ...
-- returns  the ids whose lease is lost

local lost = {}
for i = 2, #ARGV, 2 do
  if holds(ARGV[i], ARGV[i + 1]) then
    redis.call('ZADD', RUNNING, 'XX', now + tonumber(ARGV[1]), ARGV[i])
  else
    lost[#lost + 1] = ARGV[i]
  end
end
if redis.call('EXISTS', SOLO) == 1 then
  for i = 2, #ARGV, 2 do
    if redis.call('HEXISTS', delivery(ARGV[i]), 'alone') == 1 then
      redis.call('PEXPIRE', SOLO, ARGV[1])
    end
  end
end
return lost
