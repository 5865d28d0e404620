-- What the scripts of the throttle share; it is put in front of each of them.
--
-- KEYS[1]  the first group's prefix, `er:{g0}:`; it is no key, and every key is built of it
--
-- The state of a bucket, all numbers. Per kind (requests, input, output):
--   max:<kind>      what a minute allows; absent until the API has said so
--   left:<kind>     what is left of it at `at`, less than nothing when estimates were too low
--   spent:<kind>    what all calls that have begun were charged, since the state was made
--   granted:<kind>  what was charged to places that are granted and whose calls have not begun
--   arrived:<kind>  what had been spent at least ARRIVAL_MS ago: the API has counted those calls
--   window:<kind>   what had been spent when the window began
-- and of all:
--   at         when `left` was counted, Unix ms
--   window     when the window began, by which `arrived` moves on, Unix ms
--   pace       what is left of the requests of half a second; absent as long as a minute's may come at once. Headers say
--              nothing of it
--   limit      how many calls may be under way
--   threshold  up to which limit it grows by one with each answer
--   cut        when the limit was cut last, Unix ms
--   strikes    how often it was cut since the last answer
--   blocked    until when nobody may ask, Unix ms
--   line       until when others are known to wait, Unix ms: whoever has no grant waits too
--   refused    when a place was refused last, Unix ms
--   ratio      tokens per byte of a prompt
--   input, output  tokens of a usual prompt and answer
--
-- A place in `calls`: {fence, empty while it is granted only; when it began or was granted; bytes; charged input, output;
-- arrived requests, input, output when it began}.

local P = KEYS[1]
local MINUTE_MS, HOUR_MS, DAY_MS = 60 * 1000, 3600 * 1000, 86400 * 1000
local START = 5 -- calls under way at first
local KINDS = {'requests', 'input', 'output'}
local SUMS = {'spent:', 'granted:', 'arrived:', 'window:'}
local WAITING_MS = 1000 -- others are known to wait for so long after they are due; a stale word costs a detour. Arbitrary
local GRANTED_MS = 5000 -- for a worker to begin what has been granted; arbitrary
local PACE_MS = 500 -- of the API's second: what is under way to it arrives later than it was counted here
local ARRIVAL_MS = 250 -- calls reach the API in another order than they began in, within so long. Arbitrary
local LOOK_MS = 1000 -- where only the end of a call makes room, whose end wakes somebody: the latest next look

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function state_of(bucket) return P .. 'throttle:' .. bucket end
local function places_of(bucket) return P .. 'places:' .. bucket end
local function calls_of(bucket) return P .. 'calls:' .. bucket end

local function bound(b, kind)
  b['left:' .. kind] = math.min(b['left:' .. kind], b['max:' .. kind])
  if kind == 'requests' and b.pace then
    b.pace = math.min(b.pace, math.max(1, b['max:requests'] * PACE_MS / MINUTE_MS))
  end
end

-- Reads a bucket as it is now.
local function read(bucket)
  local b = {
    at = now, window = 0, limit = START, threshold = 1e6, cut = 0, strikes = 0, blocked = 0, line = 0, refused = 0,
    ratio = 1 / 3,
  }
  for _, kind in ipairs(KINDS) do
    for _, sum in ipairs(SUMS) do
      b[sum .. kind] = 0
    end
  end
  local stored = redis.call('HGETALL', state_of(bucket))
  for i = 1, #stored, 2 do
    b[stored[i]] = tonumber(stored[i + 1])
  end
  local passed = math.max(0, now - b.at) -- a clock that was set back gives nothing away
  for _, kind in ipairs(KINDS) do
    if b['max:' .. kind] then
      local filled = passed * b['max:' .. kind] / MINUTE_MS
      b['left:' .. kind] = b['left:' .. kind] + filled
      if kind == 'requests' and b.pace then
        b.pace = b.pace + filled
      end
      bound(b, kind)
    end
  end
  b.at, b.blocked, b.line = now, math.min(b.blocked, now + HOUR_MS), math.min(b.line, now + HOUR_MS + WAITING_MS)
  return b, #stored > 0
end

local function write(bucket, b)
  local flat = {}
  for name, value in pairs(b) do
    flat[#flat + 1] = name
    flat[#flat + 1] = string.format('%.17g', value)
  end
  redis.call('HSET', state_of(bucket), unpack(flat))
  for _, key in ipairs({state_of(bucket), places_of(bucket), calls_of(bucket)}) do
    redis.call('PEXPIRE', key, DAY_MS)
  end
end

local function call_of(bucket, id)
  local stored = redis.call('HGET', calls_of(bucket), id)
  if not stored then
    return nil
  end
  local c = cjson.decode(stored)
  return {
    fence = c[1], began = c[2], bytes = c[3], charged = {requests = 1, input = c[4], output = c[5]},
    arrived = {requests = c[6], input = c[7], output = c[8]},
  }
end

local function keep(bucket, id, c, ends)
  redis.call('ZADD', places_of(bucket), ends, id)
  redis.call('HSET', calls_of(bucket), id, cjson.encode({
    c.fence, c.began, c.bytes, c.charged.input, c.charged.output, c.arrived.requests, c.arrived.input,
    c.arrived.output,
  }))
end

local function drop(bucket, id)
  redis.call('ZREM', places_of(bucket), id)
  redis.call('HDEL', calls_of(bucket), id)
end

local function charge(b, kind, amount)
  if b['max:' .. kind] then
    b['left:' .. kind] = b['left:' .. kind] - amount
    if kind == 'requests' and b.pace then
      b.pace = b.pace - amount
    end
    bound(b, kind)
  end
end

-- A call begins: from here on the API may have counted it, and it may be counted before those that began just now.
local function begin(b, c, fence)
  c.fence, c.began = fence, now
  local age, moves_on = now - b.window, now - b.window >= ARRIVAL_MS
  for _, kind in ipairs(KINDS) do
    if moves_on then
      b['arrived:' .. kind] = age >= 2 * ARRIVAL_MS and b['spent:' .. kind] or b['window:' .. kind]
      b['window:' .. kind] = b['spent:' .. kind]
    end
    c.arrived[kind] = b['arrived:' .. kind]
    b['spent:' .. kind] = b['spent:' .. kind] + c.charged[kind]
  end
  b.window = moves_on and now or b.window
end

-- A granted place is granted no more, be it that its call begins or that it does not.
local function redeem(b, c)
  for _, kind in ipairs(KINDS) do
    b['granted:' .. kind] = math.max(0, b['granted:' .. kind] - c.charged[kind])
  end
end

local function give_back(b, c)
  for _, kind in ipairs(KINDS) do
    charge(b, kind, -c.charged[kind])
  end
end

-- Reads a bucket and lets go of places that have ended by themselves; also returns how many there are.
local function open(bucket)
  local b = read(bucket)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', places_of(bucket), '-inf', now)) do
    local c = call_of(bucket, id)
    if c and c.fence == '' then
      redeem(b, c)
      give_back(b, c)
    end
    drop(bucket, id)
  end
  return b, redis.call('ZCARD', places_of(bucket))
end

local function estimate(b, bytes, max_output)
  return {
    fence = '', began = now, bytes = bytes, arrived = {requests = 0, input = 0, output = 0},
    charged = {
      requests = 1, input = math.ceil(bytes * b.ratio), output = math.ceil(math.min(max_output, b.output or max_output)),
    },
  }
end

-- When a call may go at the earliest, in ms; `now` when it may. What is larger than a whole minute waits for a full one.
local function earliest(b, c, busy)
  local at = math.max(now, b.blocked)
  for _, kind in ipairs(KINDS) do
    if b['max:' .. kind] then
      local left = kind == 'requests' and math.min(b['left:requests'], b.pace or math.huge) or b['left:' .. kind]
      local missing = math.min(c.charged[kind], b['max:' .. kind]) - left
      if missing > 1e-6 then
        at = math.max(at, now + math.ceil(missing * MINUTE_MS / b['max:' .. kind]))
      end
    end
  end
  return busy >= math.floor(b.limit) and math.max(at, now + LOOK_MS) or at
end
