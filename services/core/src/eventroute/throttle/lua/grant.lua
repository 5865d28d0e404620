#!lua flags=allow-oom
-- Grants places to deliveries that wait, in this order, up to the first that may not go now.
--
-- ARGV     1 bucket  2 "1" when more wait behind them  3 most calls under way
--          4.. delivery id, bytes of its prompt, most tokens of its answer, ...
-- returns  {how many were granted, the time from which it is worth asking for the next one in ms}

local REFUSED_MS = 200 -- whoever was refused so lately may be on its way to those that wait. Arbitrary

local bucket = ARGV[1]
local b, busy = open(bucket)
b.limit = math.min(b.limit, tonumber(ARGV[3]))
local count, at = 0, now
for i = 4, #ARGV, 3 do
  local c = call_of(bucket, ARGV[i])
  if not c or c.fence ~= '' then
    if c then -- of a worker that is gone
      drop(bucket, ARGV[i])
      busy = busy - 1
    end
    c = estimate(b, tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]))
    at = earliest(b, c, busy)
    if at > now then
      break
    end
    for _, kind in ipairs(KINDS) do
      charge(b, kind, c.charged[kind])
      b['granted:' .. kind] = b['granted:' .. kind] + c.charged[kind]
    end
    keep(bucket, ARGV[i], c, now + GRANTED_MS)
    busy = busy + 1
  end
  count = count + 1
end
if at > now or ARGV[2] == '1' then
  b.line = at + WAITING_MS
else
  b.line = now - b.refused < REFUSED_MS and b.refused + REFUSED_MS or 0
end
write(bucket, b)
return {count, at}
