#!lua flags=allow-oom
-- Adds what one process has counted for one route since it last wrote.
--
-- KEYS  1 the route's statistics
-- ARGV  1 JSON: {receipts = {outcome → number}, runs = the same, secrets = {name → Unix ms}, last = delivery or null}
--       2 lifetime in seconds
--
-- Processes write in any order: a time is replaced by a later one only. A full Redis takes it too: it is little, and
-- the status is where people look when deliveries are refused.

local stats, told = KEYS[1], cjson.decode(ARGV[1])

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
redis.call('EXPIRE', stats, ARGV[2])
