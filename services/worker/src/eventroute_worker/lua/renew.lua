#!lua flags=allow-oom
-- Renew a worker's leases, and tell which ones it has lost.
--
-- A lease that ran out (Redis was away, or the worker's loop stood still) is taken again when nobody else has taken it
-- and its job is still due: settled or deferred by another worker in the meantime, it would not be.
--
-- KEYS  1 queue
-- ARGV  1 prefix of lease keys  2 worker id  3 lease in ms  4.. ids of the jobs that the worker runs
-- returns the ids whose lease is lost

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lost = {}

for i = 4, #ARGV do
  local lease = ARGV[1] .. ARGV[i]
  local holder = redis.call('GET', lease)
  local due = not holder and redis.call('ZSCORE', KEYS[1], ARGV[i])
  if holder == ARGV[2] then
    redis.call('PEXPIRE', lease, ARGV[3])
  elseif due and tonumber(due) <= now then
    redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
  else
    lost[#lost + 1] = ARGV[i]
  end
end

return lost
