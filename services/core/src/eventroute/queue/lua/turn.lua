#!lua flags=allow-oom
-- Names those whose turn it is at a bucket of the throttle that is due: the routes take turns, each in its own order.
-- Nobody else is told of them for a moment. What waits of a held route is ready again, where held ones wait.
--
-- ARGV     1 how many, at most
-- returns  nil when none is due, or {bucket, "1" when more wait behind them, {id, path, its size}, ...}

local CLAIM_MS = 50 -- to ask for their places, before another worker does the same, which does no harm. Arbitrary
local LIMITED_MS = 1000 -- where no route may run more (the end of one says so) or all are held: the next look. Arbitrary

local bucket = redis.call('ZRANGEBYSCORE', TURNS, '-inf', now, 'LIMIT', 0, 1)[1]
if not bucket then
  return false
end
local most = tonumber(ARGV[1])
local lines, count, waits = {}, 0, 0
for _, path in ipairs(redis.call('ZRANGE', waiting_routes(bucket), 0, most)) do
  local ids = redis.call('ZRANGE', waiting(bucket, path), 0, most)
  if redis.call('HEXISTS', HELD, path) == 1 then
    for _, id in ipairs(ids) do
      call_up(bucket, path, id)
    end
  else
    -- No more than may run: what were granted a place and could not run would keep it from others.
    local may = math.min(#ids, math.max(room(path) - redis.call('ZCARD', ready(path)), 0))
    lines[#lines + 1] = {path = path, ids = ids, may = may}
    count, waits = count + may, waits + #ids
  end
end
if redis.call('ZCARD', waiting_routes(bucket)) == 0 then
  redis.call('ZREM', TURNS, bucket)
  return false
end
redis.call('ZADD', TURNS, now + (count > 0 and CLAIM_MS or LIMITED_MS), bucket)
if count == 0 then
  return false
end
local reply, row = {bucket, waits > most and '1' or ''}, 1
while #reply - 2 < math.min(count, most) do
  for _, line in ipairs(lines) do
    if row <= line.may and #reply - 2 < most then
      local id = line.ids[row]
      reply[#reply + 1] = {id, line.path, redis.call('HGET', delivery(id), 'size') or '0:1'}
    end
  end
  row = row + 1
end
return reply
