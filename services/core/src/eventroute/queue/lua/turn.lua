#!lua flags=allow-oom
-- Names those whose turn it is at a bucket of the throttle that is due: the routes take turns, each in its own order.
-- Nobody else is told of them for a moment. What waits of a held route is ready again, where held ones wait; a route of
-- which no more may run goes to the end, out of the others' way.
--
-- ARGV     1 how many, at most
-- returns  nil when none is due, or {bucket, "1" when more wait behind them, {id, path, its size}, ...}

local CLAIM_MS = 50 -- to ask for their places, before another worker does the same, which does no harm. Arbitrary
local LIMITED_MS = 1000 -- where no route may run more (the end of one says so) or all are held: the next look. Arbitrary
local LOOKED = 200 -- per call, at routes without room and deliveries of held ones: some 2 ms of Redis' time. Arbitrary

local bucket = redis.call('ZRANGEBYSCORE', TURNS, '-inf', now, 'LIMIT', 0, 1)[1]
if not bucket then
  return false
end
local most = tonumber(ARGV[1])

-- A route's first ones, and how many of them may run: what is ready and was accepted before them goes first. What were
-- granted a place and could not run would keep it from others.
local function line_of(path)
  local line, free = {path = path, ids = {}, may = 0}, room(path)
  local found = redis.call('ZRANGE', waiting(bucket, path), 0, most, 'WITHSCORES')
  for i = 1, #found, 2 do
    line.ids[#line.ids + 1] = found[i]
    local is_next = line.may == #line.ids - 1
    if is_next and (free == math.huge or line.may + redis.call('ZCOUNT', ready(path), '-inf', '(' .. found[i + 1]) < free) then
      line.may = line.may + 1
    end
  end
  return line
end

local lines, count, waits, looked = {}, 0, 0, 0
for _, path in ipairs(redis.call('ZRANGE', waiting_routes(bucket), 0, LOOKED + most)) do
  if #lines > most or looked >= LOOKED then
    break
  end
  local line = line_of(path)
  if redis.call('HEXISTS', HELD, path) == 1 then
    for _, id in ipairs(line.ids) do
      call_up(bucket, path, id)
    end
    looked = looked + #line.ids
  else
    waits = waits + #line.ids
    if line.may == 0 then
      queue_up(waiting_routes(bucket), path, 'XX')
      looked = looked + 1
    else
      lines[#lines + 1], count = line, count + line.may
    end
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
