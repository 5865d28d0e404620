#!lua flags=allow-oom
-- Renews a worker's leases, and tells which ones it has lost. One that ran out and that nobody has taken is as good as
-- any.
--
-- ARGV     1 lease in ms  2.. delivery id, fence, ...
-- returns  {ids whose lease is lost}, {id, the id of the delivery that has superseded it, ...}

local lost, outdone = {}, {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  if holds(id, ARGV[i + 1]) then
    redis.call('ZADD', RUNNING, 'XX', now + tonumber(ARGV[1]), id)
    if redis.call('HEXISTS', delivery(id), 'alone') == 1 then
      redis.call('PEXPIRE', SOLO, ARGV[1])
    end
    local by = redis.call('HGET', delivery(id), 'superseded_by')
    if by then
      outdone[#outdone + 1] = id
      outdone[#outdone + 1] = by
    end
  else
    lost[#lost + 1] = id
  end
end
return {lost, outdone}
