#!lua flags=no-writes
-- Tells how buckets stand.
--
-- ARGV     1.. buckets
-- returns  per bucket {how many more usual calls may begin soon, calls under way, how many may be, blocked until in ms or
--          0, requests left or "", requests a minute or ""}; nil for one that is not known

local ANY = 1e9

local reply = {}
for i, bucket in ipairs(ARGV) do
  local b, is_known = read(bucket)
  local busy = redis.call('ZCOUNT', places_of(bucket), '(' .. now, '+inf')
  local free = (b.cut > 0 and math.floor(b.limit) or ANY) - busy -- as long as nothing was refused, it only feels its way
  for _, kind in ipairs(KINDS) do
    if b['max:' .. kind] then
      local usual = kind == 'requests' and 1 or math.max(math.min(b[kind] or 1, b['max:' .. kind]), 1)
      local left = kind == 'requests' and math.min(b['left:requests'], b.pace or ANY) or b['left:' .. kind]
      free = math.min(free, math.floor(left / usual + 1e-6))
    end
  end
  local blocked = b.blocked > now and b.blocked or 0
  reply[i] = is_known and {
    blocked > 0 and 0 or math.max(free, 0), busy, tostring(b.limit), string.format('%.0f', blocked),
    b['left:requests'] and tostring(b['left:requests']) or '', b['max:requests'] and tostring(b['max:requests']) or '',
  }
end
return reply
