#!lua
-- Admits the deliveries of one request: all that are new, or none. Every check comes before the first write, and the
-- first line makes the server refuse the whole script when memory is full, instead of failing in its middle.
--
-- ARGV     1 the route's path  2 max deliveries queued  3 max bytes queued, 0 = any
--          4 the route's rate per second, 0 = any  5 its burst  6 traceparent of the receipt, may be empty
--          7 for how long it must be quiet about an entity before what was collected runs, 8 the longest that an event
--          waits for that, in ms; both 0 = nothing is collected
--          then per item: delivery id, body, reason and detail of a dead letter (empty for work), its lane (empty for
--          none), the entity whose events it is collected with, or supersedes where nothing is collected (empty for none),
--          number of claims, and per claim: the claim, its lifetime in ms
-- returns  {"ok", per item "" when admitted, "d" and the id of the delivery that it repeats, "r" and that id when the
--          first one was a dead letter and runs again, or "j" and the id of the delivery that has collected it}
--          {"full", "queue" or "route"} or {"limited", ms to wait}; then nothing was written
--
-- A route may hold, with what of its answers is to be sent, as much as is left free: a single flood takes half of the queue, two take a third each, and a route
-- with nothing queued finds room whoever floods.

-- Claims are most of what Redis holds: an id of the usual form stands in them as its 14 bytes, not as text.
local function claimed(id)
  if #id ~= 30 or not string.find(id, '^d%-[0-9a-f]+$') then
    return id
  end
  return '\0' .. struct.pack('>I4I4I4I2', tonumber(string.sub(id, 3, 10), 16), tonumber(string.sub(id, 11, 18), 16),
    tonumber(string.sub(id, 19, 26), 16), tonumber(string.sub(id, 27, 30), 16))
end

local function claimant(value)
  if value and string.byte(value) == 0 then
    return string.format('d-%08x%08x%08x%04x', struct.unpack('>I4I4I4I2', string.sub(value, 2)))
  end
  return value
end

local MOST_EVENTS, MOST_BYTES = 100, 1024 * 1024 -- that one delivery collects; a larger event is alone. Arbitrary

local path, max_depth, max_bytes = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local rate, burst = tonumber(ARGV[4]), tonumber(ARGV[5])

local quiet_ms, longest_ms = tonumber(ARGV[7]), tonumber(ARGV[8])

-- Which delivery collects an entity's events, as it will be after this call; those that are full run at once.
local collectors, full = {}, {}

local function collect(item)
  local of = collectors[item.whom]
  if not of then
    local found = redis.call('HMGET', collecting(path, item.whom), 'id', 'count', 'bytes', 'since')
    if found[1] and redis.call('EXISTS', delivery(found[1])) == 1 then
      of = {id = found[1], count = tonumber(found[2]), bytes = tonumber(found[3]), since = tonumber(found[4])}
    end
  end
  if of and (of.count >= MOST_EVENTS or of.bytes + #item.body + 1 > MOST_BYTES) then
    full[#full + 1] = of.id
    of = nil
  end
  if of then
    item.joins = of.id
    of.count, of.bytes = of.count + 1, of.bytes + #item.body + 1
  else
    of = {id = item.id, count = 1, bytes = #item.body, since = now}
  end
  collectors[item.whom] = of
end

-- The newest event of an entity stands for those before it that are not answered. One that is sent again is not newer
-- than what came after it. What waits leaves its place in line: an entity that is never quiet would always be the last.
-- Returns the place.
local function supersede(item, seq)
  local older, place = newest_of(path, item.whom)
  if item.again and older then
    return seq
  end
  local stands_for = older and redis.call('HEXISTS', delivery(older), 'finished') == 0
    and redis.call('HEXISTS', delivery(older), 'answered') == 0
  if not stands_for or redis.call('ZSCORE', RUNNING, older) then
    place = seq
  end
  be_newest(path, item.whom, item.id, place)
  redis.call('HSET', delivery(item.id), 'newest_of', item.whom, 'seq', place, 'order', seq)
  if stands_for then
    redis.call('HSET', delivery(older), 'superseded_by', item.id)
    redis.call('RPUSH', OUTDONE, older)
    wake(1)
  end
  return place
end

local reply, fresh, taken, revived = {'ok'}, {}, {}, {}
local work, bytes, letters = 0, 0, 0
local trace = ARGV[6] ~= '' and {'trace', ARGV[6]} or {}
local arg = 9
while arg <= #ARGV do
  local item = {id = ARGV[arg], body = ARGV[arg + 1], reason = ARGV[arg + 2], detail = ARGV[arg + 3], lane = ARGV[arg + 4],
    whom = ARGV[arg + 5], claims = {}}
  local count = tonumber(ARGV[arg + 6])
  local first = false
  for i = 1, count do
    local claim, lifetime = P .. 'c:' .. ARGV[arg + 5 + 2 * i], ARGV[arg + 6 + 2 * i]
    item.claims[i] = {claim, lifetime}
    first = first or taken[claim] or claimant(redis.call('GET', claim))
  end
  if first and item.reason == '' and not revived[first] and redis.call('ZSCORE', dead(path), first) then
    revived[first] = true
    item.id, item.again = first, true
  end
  if first and not item.again then
    reply[#reply + 1] = 'd' .. first
  else
    item.size = #item.body
    if item.again and redis.call('HSTRLEN', delivery(first), 'events') > 0 then
      item.keeps = true -- it stands for others than the one that is sent again, too
      item.size = redis.call('HSTRLEN', delivery(first), 'body')
    elseif item.whom ~= '' and item.reason == '' and not item.again and quiet_ms > 0 then
      collect(item)
    end
    reply[#reply + 1] = item.again and 'r' .. first or item.joins and 'j' .. item.joins or ''
    fresh[#fresh + 1] = item
    for _, claim in ipairs(item.claims) do taken[claim[1]] = item.joins or item.id end
    if item.joins then
      bytes = bytes + item.size + 1
    elseif item.reason == '' then
      work, bytes = work + 1, bytes + item.size
    else
      letters = letters + #item.body
    end
  end
  arg = arg + 7 + 2 * count
end

-- A request of nothing but repeats costs the sender nothing: it is answered, and so not sent again.
if #fresh == 0 then
  return reply
end

local own = redis.call('HMGET', route(path), 'depth', 'bytes', 'tokens', 'filled', 'dead_bytes', 'sendings', 'sending_bytes')
local all = redis.call('HMGET', USAGE, 'depth', 'bytes', 'seq')
local depth, size = tonumber(all[1]) or 0, tonumber(all[2]) or 0
local own_depth, own_size = tonumber(own[1]) or 0, tonumber(own[2]) or 0
if work > 0 and depth + work > max_depth or max_bytes > 0 and bytes > 0 and size + bytes > max_bytes then
  return {'full', 'queue'}
end
if work > 0 and own_depth + (tonumber(own[6]) or 0) + work > max_depth - depth
    or max_bytes > 0 and bytes > 0 and own_size + (tonumber(own[7]) or 0) + bytes > max_bytes - size then
  return {'full', 'route'}
end
if letters > 0 and (tonumber(own[5]) or 0) + letters > DEAD_BYTES then
  return {'full', 'route'}
end

local filled = {}
if rate > 0 then
  local elapsed = math.max(0, now - (tonumber(own[4]) or now))
  local tokens = math.min(burst, (tonumber(own[3]) or burst) + elapsed * rate / 1000)
  -- A batch larger than the bucket takes all of it: it could never be admitted otherwise.
  local cost = math.min(burst, #fresh)
  if tokens < cost then
    if (tonumber(own[4]) or 0) > now then -- a failover set the clock back: count from here, or nothing is ever filled
      redis.call('HSET', route(path), 'filled', now)
    end
    return {'limited', math.ceil((cost - tokens) * 1000 / rate)}
  end
  filled = {'tokens', tokens - cost, 'filled', now}
end

if not own[1] then
  redis.call('SADD', P .. 'routes', path)
end
local seq = tonumber(all[3]) or 0
redis.call('HSET', USAGE, 'depth', depth + work, 'bytes', size + bytes, 'seq', seq + #fresh)
redis.call('HSET', route(path), 'depth', own_depth + work, 'bytes', own_size + bytes, unpack(filled))
local lined_up = 0
for _, item in ipairs(fresh) do
  seq = seq + 1
  local key = delivery(item.id)
  local own = #item.claims > 0 and claimed(item.joins or item.id)
  for _, claim in ipairs(item.claims) do
    redis.call('SET', claim[1], own, 'PX', claim[2])
  end
  if item.again then
    redis.call('ZREM', dead(path), item.id)
    if redis.call('HGET', holding(path), item.id) == item.lane then
      redis.call('HDEL', holding(path), item.id) -- it has its lane still
    end
    let_go(path, item.id)
    redis.call('HINCRBY', route(path), 'dead_bytes', -redis.call('HSTRLEN', key, 'body'))
    redis.call('PERSIST', key)
    redis.call('HDEL', key, 'state', 'outcome', 'reason', 'detail', 'finished', 'attempts', 'waits', 'due', 'stage', 'lane',
      'order', 'superseded_by')
    redis.call('HSET', key, 'since', now, 'saved', now) -- both deadlines count anew; it may not look for an answer
  end
  if item.joins then
    redis.call('RPUSH', collected(item.joins), item.body)
  else
    redis.call('HSET', key, 'path', path, 'seq', seq, 'at', now, unpack(trace))
    if not item.keeps then
      redis.call('HSET', key, 'body', item.body)
    end
    if item.lane ~= '' then
      redis.call('HSET', key, 'lane', item.lane)
    end
    if item.reason ~= '' then
      redis.call('HSET', key, 'state', 'dead', 'outcome', 'dead', 'reason', item.reason, 'detail', item.detail, 'finished', now)
      redis.call('PEXPIRE', key, DEAD_MS + DAY_MS)
      redis.call('ZADD', dead(path), now, item.id)
      redis.call('HINCRBY', route(path), 'dead_bytes', #item.body)
    elseif item.whom ~= '' and not item.again and quiet_ms > 0 then
      redis.call('HSET', key, 'state', 'later', 'collects', item.whom)
    else
      local place = item.whom ~= '' and quiet_ms == 0 and supersede(item, seq) or seq
      if line_up(path, item.id, place, item.lane) then
        lined_up = lined_up + 1
      end
    end
  end
end
for whom, of in pairs(collectors) do
  local due = math.min(now + quiet_ms, of.since + longest_ms)
  redis.call('HSET', collecting(path, whom), 'id', of.id, 'count', of.count, 'bytes', of.bytes, 'since', of.since)
  redis.call('HSET', delivery(of.id), 'due', due)
  redis.call('ZADD', LATER, due, of.id)
end
for _, id in ipairs(full) do
  redis.call('HSET', delivery(id), 'due', now)
  redis.call('ZADD', LATER, now, id)
end
if #full > 0 then
  wake(#full) -- whoever looks next finds them due
end
if lined_up > 0 and join(path) then
  wake(lined_up)
end
return reply
