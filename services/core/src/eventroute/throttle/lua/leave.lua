#!lua flags=allow-oom
-- Gives a place back, and learns from how its call ended.
--
-- ARGV     1 bucket  2 delivery id  3 fence of its lease, may be empty
--          4 how it ended: "answered", "limited" (429), "overloaded" (529), "failed", "unused" (nobody was asked)
--          5 the least time before the next call, in ms; empty when the API named none
--          6 tokens of the prompt  7 of these, what counts against the limit  8 tokens of the answer; empty = not known
--          9.. per kind what a minute allows, what is left; empty = not told
--          15 most calls under way
--
-- Without a fence it is a place that was granted and whose call does not begin: nobody is asked, and nothing is learned.
--
-- returns  1 when others wait for the bucket, else 0

local USED = 0.25 -- of the limit, at least, for it to grow: less would not show whether more are taken. Arbitrary
local CLOSE = 0.2 -- weight of the latest call in what is usual; arbitrary
local PAUSE_MS, LONGEST_MS = 1000, 15 * 1000 -- of a congestion for which the API names no time: first, and doubled. Arbitrary
local INEXACT = {requests = 1, input = 500, output = 500} -- headers round tokens to thousands, requests down

local bucket, id, fence, how, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[15])
local b, busy = open(bucket)
local c = call_of(bucket, id)
if not c or c.fence ~= fence then -- done before, when the reply got lost; or it took too long, and counts no more
  write(bucket, b)
  return b.line > now and 1 or 0
end
drop(bucket, id)
if fence == '' then
  redeem(b, c)
  give_back(b, c)
  write(bucket, b)
  return b.line > now and 1 or 0
end

local since = {} -- what was spent by others that the API may not have counted yet when it told what is left
for _, kind in ipairs(KINDS) do
  since[kind] = b['spent:' .. kind] - c.arrived[kind] - c.charged[kind] + b['granted:' .. kind]
end

local function usual(name, value)
  b[name] = b[name] and b[name] + CLOSE * (value - b[name]) or value
end

local function correct(kind, used)
  charge(b, kind, used - c.charged[kind])
  b['spent:' .. kind] = b['spent:' .. kind] + used - c.charged[kind]
end

if how == 'unused' or how == 'limited' or how == 'overloaded' then -- what was refused is not counted
  correct('requests', 0)
  correct('input', 0)
  correct('output', 0)
elseif ARGV[6] ~= '' then
  correct('input', tonumber(ARGV[7]))
  correct('output', tonumber(ARGV[8]))
  usual('input', tonumber(ARGV[7]))
  usual('output', tonumber(ARGV[8]))
  if c.bytes > 0 then
    usual('ratio', tonumber(ARGV[6]) / c.bytes)
  end
end

local is_told, has_room = false, true -- as the headers have it
for i, kind in ipairs(KINDS) do
  local max, left = tonumber(ARGV[7 + 2 * i]), tonumber(ARGV[8 + 2 * i])
  if max and max > 0 and left then
    local least = left - INEXACT[kind] - since[kind]
    local highest = left + INEXACT[kind] + (now - c.began) * max / MINUTE_MS
    local known = b['left:' .. kind] or least
    if left > 0 then -- none left may be less than none
      known = math.max(known, least)
    end
    local needed = math.min(c.charged[kind], max)
    local fits = left >= needed + (kind == 'requests' and 0 or INEXACT[kind])
    if how == 'limited' and not fits then -- there was less than that; headers, being rounded, would let it happen again
      highest = math.min(highest, needed)
    end
    b['max:' .. kind], b['left:' .. kind] = max, math.min(known, highest)
    bound(b, kind)
    is_told, has_room = true, has_room and fits
  end
end

if how == 'answered' then
  b.strikes = 0
  if busy >= b.limit * USED then
    b.limit = math.min(most, b.limit + (b.limit < b.threshold and 1 or 1 / b.limit))
  end
elseif how == 'limited' or how == 'overloaded' then
  local after = tonumber(ARGV[5])
  if how == 'limited' and is_told and has_room and not b.pace then
    -- "60 requests a minute may be enforced as one a second": it is the pace, not how many are under way.
    b.pace, b.cut = 0, now
  elseif c.began > b.cut then -- else it was on its way when the limit was cut, and tells nothing new
    b.threshold = math.max(1, b.limit / 2)
    b.limit, b.cut = b.threshold, now
    after = after or math.min(LONGEST_MS, PAUSE_MS * 2 ^ b.strikes)
    b.strikes = math.min(b.strikes + 1, 16)
  end
  if after then
    b.blocked = math.max(b.blocked, now + math.min(after, HOUR_MS))
  end
end
write(bucket, b)
return b.line > now and 1 or 0
