#!lua flags=allow-oom
-- Look through a part of the queue for members that can never run, their job or their delivery being gone, and make
-- those that are not due yet due now: the worker that picks one up makes it a dead letter. Dead letters that nobody can
-- read any more leave the list.
--
-- KEYS  1 queue  2 wake list  3 dead letters
-- ARGV  1 prefix of job keys  2 of delivery keys  3 cursor, "0" to begin  4 about how many members to look at
--       5 lifetime of dead letters in ms  6 how many wake tokens, at most
-- returns {next cursor, "0" at the end; how many members were made due}

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local found = redis.call('ZSCAN', KEYS[1], ARGV[3], 'COUNT', ARGV[4])
local orphans = 0

for i = 1, #found[2], 2 do
  local id, due = found[2][i], tonumber(found[2][i + 1])
  if due > now and redis.call('EXISTS', ARGV[1] .. id, ARGV[2] .. id) < 2 then
    redis.call('ZADD', KEYS[1], 'XX', now, id)
    orphans = orphans + 1
  end
end

if orphans > 0 then
  redis.call('LPUSH', KEYS[2], '1')
  redis.call('LTRIM', KEYS[2], 0, tonumber(ARGV[6]) - 1)
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[5]))
return {found[1], orphans}
