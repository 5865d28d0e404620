#!lua flags=allow-oom
-- Adds what one process has counted for one route since it last wrote.
--
-- KEYS  1 the route's statistics
-- ARGV  1 JSON: {receipts = {outcome → number}, runs = the same, secrets = {name → Unix ms}, last = delivery or null,
--          effect = {generation, since_ms, queued, asked, left = {cause → {event type → number}}} or null}
--       2 lifetime in seconds
--
-- Processes write in any order: a time is replaced by a later one only. A full Redis takes it too: it is little, and
-- the status is where people look when deliveries are refused.

local stats, told = KEYS[1], cjson.decode(ARGV[1])

local MAX_TYPES = 16

local function add_types(known, more)
  local count = 0
  for _ in pairs(known) do
    count = count + 1
  end
  for name, number in pairs(more) do
    if not known[name] then
      count = count + 1
      name = count <= MAX_TYPES and name or ''
    end
    known[name] = (known[name] or 0) + number
  end
  return known
end

-- Of an older generation nothing is told any more; a newer one begins anew.
local function joined(text, more)
  local known = cjson.decode(text)
  if known.generation ~= more.generation then
    return known.generation > more.generation and known or more
  end
  known.since_ms = math.min(known.since_ms, more.since_ms)
  known.queued, known.asked = known.queued + more.queued, known.asked + more.asked
  for cause, types in pairs(more.left) do
    known.left[cause] = add_types(known.left[cause] or {}, types)
  end
  return known
end

local function is_later(field, time)
  return tonumber(redis.call('HGET', stats, field) or 0) <= time
end

for _, kind in ipairs({'receipts', 'runs'}) do
  for outcome, number in pairs(told[kind]) do
    redis.call('HINCRBY', stats, kind .. ':' .. outcome, number)
  end
end
for name, time in pairs(told.secrets) do
  if is_later('secrets:' .. name, time) then
    redis.call('HSET', stats, 'secrets:' .. name, time)
  end
end
if told.last ~= cjson.null and is_later('last_ms', told.last.time_ms) then
  redis.call('HSET', stats, 'last', cjson.encode(told.last), 'last_ms', told.last.time_ms)
end
if told.effect ~= cjson.null then
  local can_be_read, effect = pcall(joined, redis.call('HGET', stats, 'effect'), told.effect)
  redis.call('HSET', stats, 'effect', cjson.encode(can_be_read and effect or told.effect))
end
redis.call('EXPIRE', stats, ARGV[2])
