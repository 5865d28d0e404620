-- What the scripts of the queue share; it is put in front of each of them.
--
-- KEYS[1]  the group's prefix, `er:{g0}:`. It is no key: it says on which server of a cluster the script runs, and every
--          key is built of it, so that no script can touch two of them.
--
-- Each transition of a delivery has one function here or one script; a set's name stands here once.

local P = KEYS[1]
local USAGE, ROTATION, LATER, RUNNING = P .. 'usage', P .. 'rotation', P .. 'later', P .. 'running'
local SUSPECTS, SOLO, HELD, WAKE = P .. 'suspects', P .. 'solo', P .. 'held', P .. 'wake'
local LIMITS, STRICT, TURNS = P .. 'limits', P .. 'strict', P .. 'turns'
local OUTDONE, SENDINGS = P .. 'outdone', P .. 'sendings'
local STOP = P .. 'stop' -- of the first group, for all
local WAKE_TOKENS = 64 -- more than workers make sense of; a spare one costs a worker one look. Arbitrary
local DAY_MS = 86400 * 1000
local DEAD_MS = 30 * DAY_MS -- a month for somebody to look. Arbitrary
local DEAD_MAX, DEAD_BYTES = 10000, 32 * 1024 * 1024 -- of one route, so that it cannot fill Redis. Arbitrary

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function delivery(id) return P .. 'd:' .. id end
local function ready(path) return P .. 'ready:' .. path end
local function route(path) return P .. 'route:' .. path end
local function active(path) return P .. 'active:' .. path end
local function lane_of(path, lane) return P .. 'lane:' .. path .. ':' .. lane end
local function behind(path) return P .. 'behind:' .. path end
local function holding(path) return P .. 'holding:' .. path end
local function collecting(path, whom) return P .. 'collecting:' .. path .. ':' .. whom end
local function collected(id) return P .. 'collected:' .. id end
local function newest(path, whom) return P .. 'newest:' .. path .. ':' .. whom end
local function dead(path) return P .. 'dead:' .. path end
local function finished(kind, path) return P .. kind .. ':' .. path end
local function parked(cause) return P .. 'parked:' .. cause end
local function waiting_routes(bucket) return P .. 'waits:' .. bucket end
local function waiting(bucket, path) return P .. 'waiting:' .. bucket .. ':' .. path end

local function wake(count)
  for _ = 1, math.min(count, WAKE_TOKENS) do
    if redis.call('LPUSH', WAKE, '1') > WAKE_TOKENS then
      redis.call('LTRIM', WAKE, 0, WAKE_TOKENS - 1)
      return
    end
  end
end

-- What is to be sent to one sink has a path of its own, `<namespace>/<route>/<sink>`, and a turn beside its like.
local function is_sending(path) return string.find(path, '/.+/') ~= nil end
local function rotation_of(path) return is_sending(path) and SENDINGS or ROTATION end

-- Gives a route the last turn of a rotation, which it keeps unless it is to go to the end.
local function queue_up(rotation, path, flag)
  local last = redis.call('ZRANGE', rotation, -1, -1, 'WITHSCORES')
  redis.call('ZADD', rotation, flag, (tonumber(last[2]) or 0) + 1, path)
end

-- How many more deliveries of a route may run at once.
local function room(path)
  local most = redis.call('HGET', LIMITS, path)
  return most and tonumber(most) - redis.call('SCARD', active(path)) or math.huge
end

-- A route with ready deliveries takes its turn, the last one; unless it is held, or as many run as may.
local function join(path)
  if redis.call('HEXISTS', HELD, path) == 1 or room(path) <= 0 then
    return false
  end
  queue_up(rotation_of(path), path, 'NX')
  return true
end

-- What kept a route from taking turns may be over.
local function come_back(path)
  local waiting = redis.call('ZCARD', ready(path))
  if waiting > 0 and not redis.call('ZSCORE', rotation_of(path), path) and join(path) then
    wake(waiting)
  end
end

-- Gives a lane to the next one that waits in it, whose deadline counts from now. The score of who has it is 0, of the
-- others their order of acceptance. What somebody removed is passed over.
local function advance(path, lane)
  local key = lane_of(path, lane)
  while true do
    local next = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    if not next[1] then
      return
    end
    redis.call('ZREM', behind(path), next[1])
    if redis.call('EXISTS', delivery(next[1])) == 1 then
      redis.call('ZADD', key, 0, next[1])
      redis.call('HDEL', delivery(next[1]), 'state')
      redis.call('HSET', delivery(next[1]), 'due', now, 'since', now)
      redis.call('ZADD', ready(path), next[2], next[1])
      if join(path) then
        wake(1)
      end
      return
    end
    redis.call('ZREM', key, next[1])
  end
end

-- Puts a delivery where it may be leased, unless another one has its lane: then it waits behind that. Tells which.
local function line_up(path, id, seq, lane)
  if lane and lane ~= '' then
    local key = lane_of(path, lane)
    local first = redis.call('ZRANGE', key, 0, 0)[1]
    if first and first ~= id and redis.call('EXISTS', delivery(first)) == 0 then
      redis.call('ZREM', key, first)
      advance(path, lane)
      first = redis.call('ZRANGE', key, 0, 0)[1]
    end
    if first and first ~= id then
      redis.call('ZADD', key, seq, id)
      redis.call('ZADD', behind(path), seq, id)
      redis.call('HSET', delivery(id), 'state', 'behind')
      return false
    end
    redis.call('ZADD', key, 0, id)
  end
  redis.call('ZADD', ready(path), seq, id)
  return true
end

-- The one way for a delivery to become ready, but for a new one, of which the receiver knows the lane. One that is
-- superseded waits behind nobody: it is only to be ended.
local function make_ready(path, id, seq)
  local of = redis.call('HMGET', delivery(id), 'lane', 'superseded_by')
  if line_up(path, id, seq, not of[2] and of[1]) and join(path) then
    wake(1)
  end
end

-- A delivery waits for the throttle no more, be it that it was granted a place; returns whether it did.
local function call_up(bucket, path, id, is_granted)
  local own, routes = waiting(bucket, path), waiting_routes(bucket)
  if redis.call('ZREM', own, id) == 0 then
    return false
  end
  if redis.call('ZCARD', own) == 0 then
    redis.call('ZREM', routes, path)
  else
    queue_up(routes, path, 'XX')
  end
  local seq = redis.call('HGET', delivery(id), 'seq')
  if seq then
    redis.call('HDEL', delivery(id), 'state', 'cause', 'size')
    redis.call('HSET', delivery(id), 'due', now, unpack(is_granted and {'granted', bucket} or {}))
    make_ready(path, id, seq)
  end
  return true
end

-- The one way for a delivery to leave its lane: it has ended, and the next one has its turn.
local function leave(path, id, lane)
  if lane and redis.call('ZREM', lane_of(path, lane), id) == 1 and redis.call('ZREM', behind(path), id) == 0 then
    advance(path, lane)
  end
end

-- A dead letter holds its lane no longer; whoever makes it ready again does so without leaving.
local function let_go(path, id)
  local lane = redis.call('HGET', holding(path), id)
  if lane then
    redis.call('HDEL', holding(path), id)
    leave(path, id, lane)
  end
end

-- What waits to be sent takes of its route's share, too: a route whose sinks are down is to leave room for others.
local function charge(path, count, bytes)
  redis.call('HINCRBY', USAGE, 'depth', count)
  redis.call('HINCRBY', USAGE, 'bytes', bytes)
  redis.call('HINCRBY', route(path), 'depth', count)
  redis.call('HINCRBY', route(path), 'bytes', bytes)
  if is_sending(path) then
    local whose = route(string.match(path, '^[^/]+/[^/]+'))
    redis.call('HINCRBY', whose, 'sendings', count)
    redis.call('HINCRBY', whose, 'sending_bytes', bytes)
  end
end

-- A newer event stands for it: it waits for nothing any more, and a worker ends it.
local function is_outdone(id) return redis.call('HEXISTS', delivery(id), 'superseded_by') == 1 end

-- Which delivery is the newest of an entity, and its place in line; nil when there is none, or somebody removed its record.
local function newest_of(path, whom)
  local id, seq = string.match(redis.call('GET', newest(path, whom)) or '', '^(%S+) (%d+)$')
  if id and redis.call('EXISTS', delivery(id)) == 1 then
    return id, seq
  end
end

local function be_newest(path, whom, id, seq)
  redis.call('SET', newest(path, whom), id .. ' ' .. seq, 'PX', DEAD_MS)
end

-- The one way for a delivery to be the newest of its entity no longer, but for a newer one: it has ended.
local function resign(path, id)
  local whom = redis.call('HGET', delivery(id), 'newest_of')
  if whom and newest_of(path, whom) == id then
    redis.call('DEL', newest(path, whom))
  end
end

-- Removes a conversation with tools from a delivery, of which most have none.
local function end_talk(key)
  if redis.call('HEXISTS', key, 'talk') == 1 then
    for _, field in ipairs(redis.call('HKEYS', key)) do
      if string.match(field, '^talk') then
        redis.call('HDEL', key, field)
      end
    end
  end
end

-- Whether a worker still has the lease that it acts under.
local function holds(id, fence)
  return redis.call('HGET', delivery(id), 'fence') == fence and redis.call('ZSCORE', RUNNING, id)
end

local function begin_lease(path, id, until_ms)
  redis.call('ZADD', RUNNING, until_ms, id)
  redis.call('SADD', active(path), id)
end

-- A lease ends; its route takes turns again if it had none left, and a delivery that was taken alone makes room for the
-- next one. Of a delivery that somebody removed no path is known; the keeper finds it.
local function end_lease(path, id)
  redis.call('ZREM', RUNNING, id)
  if redis.call('HDEL', delivery(id), 'alone') == 1 then
    redis.call('DEL', SOLO)
  end
  if path then
    redis.call('SREM', active(path), id)
    if redis.call('HEXISTS', LIMITS, path) == 1 then
      come_back(path)
    end
  end
end

-- An attempt ends at no cost, as its delivery is to wait for something; returns the delivery's order of acceptance, or nil
-- when there is nothing to wait for any more: it is superseded, and ready for a worker to end it.
local function interrupt(path, id)
  end_lease(path, id)
  local key = delivery(id)
  local of = redis.call('HMGET', key, 'stage', 'seq')
  if of[1] then
    redis.call('HINCRBY', key, 'attempts', -1)
  end
  redis.call('HDEL', key, 'stage', 'due')
  if not is_outdone(id) then
    return of[2]
  end
  redis.call('HDEL', key, 'state')
  redis.call('HSET', key, 'due', now)
  make_ready(path, id, of[2])
end

-- An answer that was to be sent is dropped: its delivery no longer says that the sink has it.
local function unmark(path, id)
  local whose, sink = string.match(id, '^(.-):(.+)$')
  if whose and is_sending(path) and redis.call('HEXISTS', delivery(whose), 'sink:' .. sink) == 1 then
    redis.call('HSET', delivery(whose), 'sink:' .. sink, '0')
  end
end

local function drop_dead(path, id)
  let_go(path, id)
  unmark(path, id)
  redis.call('HINCRBY', route(path), 'dead_bytes', -redis.call('HSTRLEN', delivery(id), 'body'))
  redis.call('ZREM', dead(path), id)
  redis.call('UNLINK', delivery(id))
end

local function bound_dead(path)
  local letters = dead(path)
  while redis.call('ZCARD', letters) > DEAD_MAX
      or (tonumber(redis.call('HGET', route(path), 'dead_bytes')) or 0) > DEAD_BYTES do
    local oldest = redis.call('ZRANGE', letters, 0, 0)[1]
    if not oldest then
      redis.call('HSET', route(path), 'dead_bytes', 0)
      return
    end
    drop_dead(path, oldest)
    redis.call('HINCRBY', route(path), 'dead_dropped', 1)
  end
end

-- The delivery has left the queue's sets; it stays as a dead letter, the oldest of its route making room. It leaves its
-- lane, or holds it where the route says so, unless a newer event stands for it.
local function bury(path, id, reason, detail)
  redis.call('HDEL', delivery(id), 'stage', 'due', 'waits', 'cuts', 'probe', 'granted')
  redis.call('HSET', delivery(id), 'state', 'dead', 'outcome', 'dead', 'reason', reason, 'detail', detail, 'finished', now)
  redis.call('PEXPIRE', delivery(id), DEAD_MS + DAY_MS) -- the keeper comes first, and takes it off the account
  if redis.call('ZADD', dead(path), now, id) == 1 then
    redis.call('HINCRBY', route(path), 'dead_bytes', redis.call('HSTRLEN', delivery(id), 'body'))
  end
  resign(path, id)
  local lane = redis.call('HGET', delivery(id), 'lane')
  if lane and redis.call('SISMEMBER', STRICT, path) == 1 and reason ~= 'route_deleted' and not is_outdone(id) then
    redis.call('HSET', holding(path), id, lane)
  else
    leave(path, id, lane)
  end
end

-- What is left of a delivery is written anew: Redis leaves a hash that was large once in its larger form for ever.
local function reduce(id, fields, lifetime_ms)
  local key = delivery(id)
  local values, left = redis.call('HMGET', key, unpack(fields)), {}
  for i, field in ipairs(fields) do
    if values[i] and values[i] ~= '' then
      left[#left + 1] = field
      left[#left + 1] = values[i]
    end
  end
  redis.call('UNLINK', key)
  if #left > 0 then
    redis.call('HSET', key, unpack(left))
    redis.call('PEXPIRE', key, lifetime_ms)
  end
end

-- What is finished sheds its body, then its answer, then its record; each delivery stands in one of three sets by the
-- time of its end. `upto` is the end before which a phase is over. What only another run needs goes with the body.
local function shed(path, kind, upto, count)
  local ids = redis.call('ZRANGEBYSCORE', finished(kind, path), '-inf', upto, 'WITHSCORES', 'LIMIT', 0, count)
  if #ids == 0 then
    return 0
  end
  local kept = {'path', 'state', 'at', 'since', 'attempts', 'replays', 'outcome', 'detail', 'finished', 'about'}
  if kind == 'bodies' then
    kept[11], kept[12] = 'trace', 'answer'
  end
  local keep_ms = tonumber(redis.call('HGET', route(path), 'keep_records')) or 0
  for i = 1, #ids, 2 do
    local id, time = ids[i], ids[i + 1]
    redis.call('ZREM', finished(kind, path), id)
    if kind == 'records' then
      redis.call('UNLINK', delivery(id))
    else
      reduce(id, kept, math.max(time + keep_ms - now, 1))
      redis.call('ZADD', finished(kind == 'bodies' and 'answers' or 'records', path), time, id)
    end
  end
  return #ids / 2
end

-- Shed what is over by the route's retention, some of each phase; returns how much was shed.
local function shed_due(path, count)
  local keep = redis.call('HMGET', route(path), 'keep_bodies', 'keep_answers', 'keep_records')
  local done = 0
  for i, kind in ipairs({'bodies', 'answers', 'records'}) do
    done = done + shed(path, kind, now - (tonumber(keep[i]) or 0), count)
  end
  return done
end

local BUDGETS, RESERVED = P .. 'budgets', P .. 'reserved'

local function budget(scope) return P .. 'budget:' .. scope end

-- A budget's period turns when it is time to; returns when it ends. One under way is only ever cut shorter: programs that
-- for a moment know two lengths of it must not turn it in turns.
local function turn(scope, period_ms)
  local key = budget(scope)
  local ends = tonumber(redis.call('HGET', key, 'ends')) or 0
  local next = (math.floor(now / period_ms) + 1) * period_ms
  if ends <= now then
    redis.call('HSET', key, 'spent_usd', 0, 'spent_tokens', 0, 'ends', next)
    redis.call('HDEL', key, 'warned', 'told')
  elseif next < ends then
    redis.call('HSET', key, 'ends', next)
  else
    return ends
  end
  redis.call('PEXPIRE', key, next + DAY_MS - now)
  return next
end

-- A reservation becomes what was spent, as much as was reserved unless it is known better, in each of its budgets. It
-- counts in the period in which that is known: what is in flight when a period turns takes room in the next one.
local function spend(name, usd, tokens)
  local said = redis.call('HGET', RESERVED, name)
  if not said then
    return 0
  end
  local of = {}
  for word in string.gmatch(said, '%S+') do
    of[#of + 1] = word
  end
  redis.call('HDEL', RESERVED, name)
  local sums = {usd = {of[2], usd or of[2]}, tokens = {of[3], tokens or of[3]}}
  for i = 4, #of, 2 do
    local key = budget(of[i])
    turn(of[i], tonumber(of[i + 1]))
    for unit, sum in pairs(sums) do
      if redis.call('HINCRBY', key, 'reserved_' .. unit, 0 - sum[1]) < 0 then
        redis.call('HSET', key, 'reserved_' .. unit, 0) -- its account was forgotten meanwhile
      end
      redis.call('HINCRBY', key, 'spent_' .. unit, sum[2])
    end
  end
  return 1
end

-- A parked delivery is ready; as a probe, it does not take the cause for granted until it has asked.
local function unpark(cause, id, is_probe)
  redis.call('ZREM', parked(cause), id)
  local of = redis.call('HMGET', delivery(id), 'path', 'seq')
  if of[1] then
    redis.call('HDEL', delivery(id), 'state', 'cause', 'need')
    redis.call('HSET', delivery(id), 'due', now, 'since', now, unpack(is_probe and {'probe', cause} or {}))
    redis.call('HINCRBY', P .. 'parked_of:' .. cause, of[1], -1)
    make_ready(of[1], id, of[2])
  end
end

-- Nothing stands in the way any more.
local function forget(cause)
  redis.call('HDEL', P .. 'causes', cause)
  redis.call('HDEL', P .. 'probed', cause)
  redis.call('DEL', P .. 'parked_of:' .. cause)
end
