#!lua flags=allow-oom
-- Makes deliveries ready that are parked for a budget, in their order, as far as there is room for what they need.
--
-- One that was parked without having asked for room needs as much as the one before it. The first one that does not fit
-- keeps those behind it waiting, or a small one would always come before a large one. Two kinds go on whatever room there
-- is, or they would be in the way for ever: one that needs more than the whole budget, which may be less than it was, as
-- its attempt finds out; and one of a held route, which waits where its route's others do.
--
-- ARGV     1 cause  2 how many, at most  3 room in millionths of USD  4 room in tokens  5 and 6 the whole budget in
--          these; any may be empty
-- returns  how many were made ready, and how many still wait

local cause = ARGV[1]
local usd, tokens = tonumber(ARGV[3]) or math.huge, tonumber(ARGV[4]) or math.huge
local most_usd, most_tokens = tonumber(ARGV[5]) or math.huge, tonumber(ARGV[6]) or math.huge

local function look(id)
  local of = redis.call('HMGET', delivery(id), 'path', 'need')
  local line = {is_held = of[1] and redis.call('HEXISTS', HELD, of[1]) == 1}
  if of[2] then
    local needed = string.gmatch(of[2], '%d+')
    line.usd, line.tokens = tonumber(needed()), tonumber(needed())
    line.is_hopeless = line.usd > most_usd or line.tokens > most_tokens
  end
  return line
end

local lines, usual = {}, nil
local ids = redis.call('ZRANGE', parked(cause), 0, tonumber(ARGV[2]) - 1)
for i, id in ipairs(ids) do
  lines[i] = look(id)
  usual = usual or lines[i].usd and not lines[i].is_hopeless and lines[i]
end
local count = 0
for i, id in ipairs(ids) do
  if not lines[i].is_hopeless then
    usual = lines[i].usd and lines[i] or usual
    if not lines[i].is_held and usual then
      usd, tokens = usd - usual.usd, tokens - usual.tokens
    end
    if usd < 0 or tokens < 0 then
      break
    end
  end
  unpark(cause, id, true)
  count = count + 1
end
local left = redis.call('ZCARD', parked(cause))
if left == 0 then
  forget(cause)
end
return {count, left}
