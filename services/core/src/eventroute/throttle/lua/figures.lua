#!lua flags=no-writes
-- Tells how buckets stand.
--
-- ARGV     1.. buckets
-- returns  per bucket {how many more usual calls may begin now, calls under way, how many may be, blocked until in ms or
--          0, requests left or "", requests a minute or ""}; nil for one that is not known

local reply = {}
for i, bucket in ipairs(ARGV) do
  local b, is_known = read(bucket)
  local busy = redis.call('ZCOUNT', places_of(bucket), '(' .. now, '+inf')
  local free = math.floor(b.limit) - busy
  for _, kind in ipairs(KINDS) do
    if b['max:' .. kind] then
      local usual = kind == 'requests' and 1 or math.min(b[kind] or 1, capacity(b, kind))
      free = math.min(free, math.floor(b['left:' .. kind] / math.max(usual, 1) + 1e-6))
    end
  end
  local blocked = b.blocked > now and b.blocked or 0
  reply[i] = is_known and {
    blocked > 0 and 0 or math.max(free, 0), busy, tostring(b.limit), string.format('%.0f', blocked),
    b['left:requests'] and tostring(b['left:requests']) or '', b['max:requests'] and tostring(b['max:requests']) or '',
  }
end
return reply
