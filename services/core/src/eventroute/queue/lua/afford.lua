#!lua flags=allow-oom
-- Makes deliveries ready that are parked for a budget, in their order, as far as there is room for what they need.
--
-- One that was parked without having asked for room needs as much as the one before it. The first one that does not fit
-- keeps those behind it waiting, or a small one would always come before a large one.
--
-- ARGV     1 cause  2 room in millionths of USD  3 room in tokens, either may be empty  4 how many, at most
-- returns  how many were made ready, and how many still wait

local cause, usd, tokens = ARGV[1], tonumber(ARGV[2]) or math.huge, tonumber(ARGV[3]) or math.huge
local ids = redis.call('ZRANGE', parked(cause), 0, tonumber(ARGV[4]) - 1)
local needs, need = {}, nil
for i, id in ipairs(ids) do
  needs[i] = redis.call('HGET', delivery(id), 'need') or needs[i - 1]
  need = need or needs[i]
end
local count = 0
for i, id in ipairs(ids) do
  local of = string.gmatch(needs[i] or need or '0 0', '%d+')
  usd, tokens = usd - tonumber(of()), tokens - tonumber(of())
  if usd < 0 or tokens < 0 then
    break
  end
  unpark(cause, id, true)
  count = count + 1
end
local left = redis.call('ZCARD', parked(cause))
if left == 0 then
  forget(cause)
end
return {count, left}
