#!lua flags=allow-oom
-- Removes dead letters for good.
--
-- ARGV     1.. delivery ids
-- returns  per id "ok", or why not: "unknown", or "alive" when it is no dead letter

local reply = {}
for _, id in ipairs(ARGV) do
  local of = redis.call('HMGET', delivery(id), 'state', 'path')
  if not of[2] then
    reply[#reply + 1] = 'unknown'
  elseif of[1] ~= 'dead' then
    reply[#reply + 1] = 'alive'
  else
    drop_dead(of[2], id)
    reply[#reply + 1] = 'ok'
  end
end
return reply
