#!lua flags=allow-oom
-- Leases ready deliveries to a worker, the routes taking turns, and answers that are to be sent, the sinks taking turns;
-- before that, what is due later becomes ready, and what
-- was leased by a worker that has not been heard of is ready again.
--
-- A delivery whose attempt was cut short before it asked Claude, or for the second time, may be what killed its worker.
-- Such suspects are leased alone, to one worker at a time that runs nothing else: a worker that runs something hears
-- "drain" and takes nothing more until it is idle.
--
-- ARGV     1 worker id  2 lease in ms  3 how many deliveries, at most  4 how many answers to send  5 how much the worker runs
--          6.. paths of routes that have enough of the worker's slots already
-- returns  {now in ms, when something else is due in ms or nil, "" or "drain" or "turn" (a bucket of the throttle is due),
--          {id, path, fence, when it was ready in ms, "1" when it runs alone, traceparent of its receipt, bucket of the
--          throttle at which it was granted a place, empty for none}, ...}

local SEEN = 16 -- suspects that are looked at, should the first ones' routes have no room. Arbitrary
local PROMOTED = 200 -- of what is due later or over its lease, per call: some 2 ms of Redis' time. Arbitrary
local GATHERED = 4 * 1024 * 1024 -- bytes of collected events, per call and beyond that one delivery's: some 11 ms

local worker, lease_ms, busy = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[5])
local wanted = {[ROTATION] = tonumber(ARGV[3]), [SENDINGS] = tonumber(ARGV[4])}

-- A delivery collects no more: its events become its body, one after the other; it is due since then. Returns its size.
local function gather(path, id, whom, due)
  local key = delivery(id)
  local more = redis.call('LRANGE', collected(id), 0, -1)
  redis.call('DEL', collected(id))
  if not path then
    return 0
  end
  if #more > 0 then
    local body = table.concat({redis.call('HGET', key, 'body'), unpack(more)}, '\30')
    redis.call('HSET', key, 'body', body, 'events', #more + 1)
  end
  redis.call('HDEL', key, 'collects')
  redis.call('HSET', key, 'since', due)
  if redis.call('HGET', collecting(path, whom), 'id') == id then
    redis.call('DEL', collecting(path, whom))
  end
  return redis.call('HSTRLEN', key, 'body')
end

-- Ends what a delivery waits for which a newer event has superseded.
local function free(id)
  local of = redis.call('HMGET', delivery(id), 'path', 'state', 'cause', 'superseded_by', 'seq', 'lane')
  if not of[4] then
    return
  elseif of[2] == 'later' then
    redis.call('ZADD', LATER, 'XX', now, id)
  elseif of[2] == 'throttled' then
    call_up(of[3], of[1], id)
  elseif of[2] == 'held' then
    unpark(of[3], id, false)
  elseif of[2] == 'behind' then
    redis.call('ZREM', behind(of[1]), id)
    redis.call('ZREM', lane_of(of[1], of[6]), id)
    redis.call('HDEL', delivery(id), 'state')
    redis.call('HSET', delivery(id), 'due', now)
    make_ready(of[1], id, of[5])
  end
end

for _, id in ipairs(redis.call('LPOP', OUTDONE, PROMOTED) or {}) do
  free(id)
end

local gathered = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', LATER, '-inf', now, 'LIMIT', 0, PROMOTED)) do
  if gathered >= GATHERED then
    break -- the rest stays due: whoever looks next goes on
  end
  redis.call('ZREM', LATER, id)
  local of = redis.call('HMGET', delivery(id), 'path', 'seq', 'collects', 'due')
  if of[3] or not of[1] then
    gathered = gathered + gather(of[1], id, of[3], of[4])
  end
  if of[1] then
    redis.call('HDEL', delivery(id), 'state')
    make_ready(of[1], id, of[2])
  end
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', RUNNING, '-inf', now, 'LIMIT', 0, PROMOTED)) do
  local of = redis.call('HMGET', delivery(id), 'path', 'seq', 'stage')
  end_lease(of[1], id)
  if of[1] then
    redis.call('HDEL', delivery(id), 'state', 'stage', 'probe')
    redis.call('HSET', delivery(id), 'due', now)
    if of[3] and (redis.call('HINCRBY', delivery(id), 'cuts', 1) > 1 or of[3] == 'begun') then
      redis.call('ZADD', SUSPECTS, now, id)
      wake(1)
    else
      make_ready(of[1], id, of[2])
    end
  end
end

local crowded = {}
for i = 6, #ARGV do
  crowded[ARGV[i]] = true
end

local answer = {tostring(now), false, ''}

local function lease(id, path, alone)
  local key = delivery(id)
  local fence = redis.call('HINCRBY', key, 'fence', 1)
  local of = redis.call('HMGET', key, 'due', 'at', 'trace', 'granted')
  redis.call('HSET', key, 'state', 'running', unpack(alone and {'alone', '1'} or {}))
  redis.call('HDEL', key, 'granted') -- it is for this attempt only
  begin_lease(path, id, now + lease_ms)
  answer[#answer + 1] = {
    id, path, tostring(fence), of[1] or of[2] or tostring(now), alone and '1' or '', of[3] or '', of[4] or '',
  }
end

-- The first suspect whose route has room; one whose record is gone has no route.
local function next_suspect()
  for _, id in ipairs(redis.call('ZRANGE', SUSPECTS, 0, SEEN - 1)) do
    local path = redis.call('HGET', delivery(id), 'path') or ''
    if room(path) > 0 then
      return id, path
    end
  end
end

local suspect, suspected = next_suspect()
if suspect and wanted[rotation_of(suspected)] > 0 then
  local holder = redis.call('GET', SOLO)
  if not holder or holder == worker then
    redis.call('SET', SOLO, worker, 'PX', lease_ms)
    if busy == 0 then
      redis.call('ZREM', SUSPECTS, suspect)
      lease(suspect, suspected, true)
    else
      answer[3] = 'drain'
    end
    wanted = {[ROTATION] = 0, [SENDINGS] = 0}
  end
end

local function next_turn(rotation)
  for _, path in ipairs(redis.call('ZRANGE', rotation, 0, #ARGV - 5)) do
    if not crowded[path] then
      return path
    end
  end
end

local is_empty = true
for _, rotation in ipairs({ROTATION, SENDINGS}) do
  local path = next_turn(rotation)
  while path and wanted[rotation] > 0 do
    local left = room(path)
    local first = left > 0 and redis.call('ZPOPMIN', ready(path)) or {}
    if left <= 1 or redis.call('ZCARD', ready(path)) == 0 then
      redis.call('ZREM', rotation, path)
    else
      queue_up(rotation, path, 'XX')
    end
    if first[1] then
      lease(first[1], path, false)
      wanted[rotation] = wanted[rotation] - 1
    end
    path = next_turn(rotation)
  end
  is_empty = is_empty and not path
end
if is_empty and wanted[ROTATION] > 0 then
  redis.call('DEL', WAKE) -- whoever makes something ready pushes a new token
end

local later = redis.call('ZRANGE', LATER, 0, 0, 'WITHSCORES')[2]
local over = redis.call('ZRANGE', RUNNING, 0, 0, 'WITHSCORES')[2]
local turn = redis.call('ZRANGE', TURNS, 0, 0, 'WITHSCORES')[2]
if later or over or turn then
  answer[2] = tostring(math.min(tonumber(later) or math.huge, tonumber(over) or math.huge, tonumber(turn) or math.huge))
end
if turn and tonumber(turn) <= now and answer[3] == '' then
  answer[3] = 'turn'
end
return answer
