#!lua
-- Admits the deliveries of one request: all that are new, or none.
--
-- KEYS    1 queue  2 wake list  3 the route's token bucket, then per item: delivery, job, its claims
-- ARGV    1 max queue depth  2 bucket rate per second (0 = no limit)  3 bucket burst  4 wake tokens kept
--         then per item: delivery id, delivery, job, number of its claims, lifetime of each claim in ms
-- returns {"ok", per item "" when admitted, else the id of the delivery that it repeats}
--         {"full", queue depth} or {"limited", ms to wait}; then nothing was written
--
-- Every check comes before the first write. The "#!lua" line makes the server refuse the whole script when memory is
-- full, instead of failing in its middle. The time is the server's, so that no pod's clock decides what is due.

local queue, wake, bucket = KEYS[1], KEYS[2], KEYS[3]
local max_depth, rate, burst, wake_tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local reply, fresh, taken = {'ok'}, {}, {}
local key, arg = 4, 5
while arg <= #ARGV do
  local item = {
    id = ARGV[arg], delivery = ARGV[arg + 1], job = ARGV[arg + 2],
    delivery_key = KEYS[key], job_key = KEYS[key + 1], claims = {}, lifetimes_ms = {},
  }
  local repeats = ''
  for i = 1, tonumber(ARGV[arg + 3]) do
    local claim = KEYS[key + 1 + i]
    item.claims[i], item.lifetimes_ms[i] = claim, ARGV[arg + 3 + i]
    if repeats == '' then
      repeats = taken[claim] or redis.call('GET', claim) or ''
    end
  end
  -- A claim may have expired while its job is still being retried.
  if repeats == '' and redis.call('EXISTS', item.job_key) == 1 then
    repeats = item.id
  end
  reply[#reply + 1] = repeats
  if repeats == '' then
    fresh[#fresh + 1] = item
    for _, claim in ipairs(item.claims) do taken[claim] = item.id end
  end
  key, arg = key + 2 + #item.claims, arg + 4 + #item.claims
end

-- A request of nothing but repeats costs the sender nothing: it is answered, and so not sent again.
if #fresh == 0 then
  return reply
end

local depth = redis.call('ZCARD', queue)
if depth + #fresh > max_depth then
  return {'full', depth}
end

if rate > 0 then
  local state = redis.call('HMGET', bucket, 'tokens', 'at')
  local elapsed = math.max(0, now - (tonumber(state[2]) or now))
  local tokens = math.min(burst, (tonumber(state[1]) or burst) + elapsed * rate / 1000)
  -- A batch larger than the bucket takes all of it: it could never be admitted otherwise.
  local cost = math.min(burst, #fresh)
  if tokens < cost then
    return {'limited', math.ceil((cost - tokens) * 1000 / rate)}
  end
  redis.call('HSET', bucket, 'tokens', tokens - cost, 'at', now)
  redis.call('PEXPIRE', bucket, math.ceil(burst * 1000 / rate) + 1000)
end

for i, item in ipairs(fresh) do
  for claim_index, claim in ipairs(item.claims) do
    redis.call('SET', claim, item.id, 'PX', item.lifetimes_ms[claim_index])
  end
  redis.call('SET', item.delivery_key, item.delivery)
  redis.call('SET', item.job_key, item.job)
  redis.call('ZADD', queue, now, item.id)
  if i <= wake_tokens then
    redis.call('LPUSH', wake, '1')
  end
end
redis.call('LTRIM', wake, 0, wake_tokens - 1)
return reply
