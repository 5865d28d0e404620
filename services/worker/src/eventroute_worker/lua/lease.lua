#!lua flags=allow-oom
-- Lease due jobs to a worker: the queue's members that are due and that nobody runs, oldest due time first. Each lease
-- counts as a try at once, so that a delivery that kills its worker runs out of tries like any other.
--
-- Running jobs stay at the head of the queue, so the scan pages past them instead of looking through a fixed window.
-- A job that we hold already and do not run was leased by a call whose reply got lost: it is handed out again, and that
-- does not count. Wake tokens say "something may be due"; when the scan saw the end and found nothing more, those present are stale.
--
-- KEYS  1 queue  2 wake list
-- ARGV  1 prefix of lease keys  2 of job keys  3 of tries keys  4 worker id  5 lease in ms
--       6 how many to lease, at most  7 how many members to look at, at most  8.. ids of the jobs that the worker runs
-- returns {now in ms, due time of the next deferred job or nil, {id, due time, tries or -1, job or nil}, ...}
--         -1: the tries are not a number

local PAGE = 200

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local wanted, limit = tonumber(ARGV[6]), tonumber(ARGV[7])

local function value(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then
    return false
  end
  return answer
end

local runs = {}
for i = 8, #ARGV do
  runs[ARGV[i]] = true
end

local function lease(name, id, due, holder)
  redis.call('SET', name, ARGV[4], 'PX', ARGV[5])
  local tries = holder and tonumber(value('GET', ARGV[3] .. id) or '') or value('INCR', ARGV[3] .. id)
  return {id, due, tries or -1, value('GET', ARGV[2] .. id)}
end

local answer = {tostring(now), false}
local offset, drained = 0, false
while #answer - 2 < wanted and offset < limit and not drained do
  local page = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', offset, PAGE)
  local size = #page / 2
  drained = size < PAGE
  offset = offset + size
  if size > 0 then
    local names = {}
    for i = 1, size do
      names[i] = ARGV[1] .. page[2 * i - 1]
    end
    local holders = redis.call('MGET', unpack(names))
    for i = 1, size do
      local id, holder = page[2 * i - 1], holders[i]
      if #answer - 2 < wanted and not runs[id] and (not holder or holder == ARGV[4]) then
        answer[#answer + 1] = lease(names[i], id, page[2 * i], holder)
      end
    end
  end
end

if #answer - 2 < wanted and drained then
  redis.call('DEL', KEYS[2])
end

local deferred = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
answer[2] = deferred[2] or false
return answer
