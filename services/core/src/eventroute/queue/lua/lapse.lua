#!lua flags=allow-oom
-- Counts as spent what nobody has paid in time, as the worker that asked was killed or stands still.
--
-- ARGV     1 cursor over the reservations, "0" to begin  2 how many, about
-- returns  next cursor, "0" at the end; how many were counted

local page = redis.call('HSCAN', RESERVED, ARGV[1], 'COUNT', ARGV[2])
local count = 0
for i = 1, #page[2], 2 do
  local name, said = page[2][i], page[2][i + 1]
  local id, fence = string.match(name, '^(.*):(%d+)$')
  if tonumber(string.match(said, '^%d+')) <= now and not holds(id, fence) then
    count = count + spend(name)
  end
end
return {page[1], count}
