#!lua flags=no-writes
-- Tells of deliveries what a line of a list shows, without carrying their bodies.
--
-- ARGV     1.. delivery ids
-- returns  per id {path, state, seq, at, since, attempts, waits, due, cause, outcome, reason, detail, finished, about,
--          last_error, replays, begin of the body: all before its headers and payload, how many wait for it as a dead
--          letter that holds its lane}; nil for what is not there. As many as are cheap to look at, at least one: ask
--          again for the rest.

local BYTES = 4 * 1024 * 1024 -- of bodies that are looked into per call: about a millisecond. Arbitrary

local reply, seen = {}, 0
for _, id in ipairs(ARGV) do
  if seen > BYTES then
    break
  end
  local key = delivery(id)
  local line = redis.call('HMGET', key, 'path', 'state', 'seq', 'at', 'since', 'attempts', 'waits', 'due', 'cause',
    'outcome', 'reason', 'detail', 'finished', 'about', 'last_error', 'replays')
  local body = not line[14] and redis.call('HGET', key, 'body')
  if body then
    seen = seen + #body
    local cut = string.find(body, ',"headers":', 1, true) or string.find(body, ',"payload":', 1, true)
    line[17] = cut and string.sub(body, 1, cut - 1) or false
  end
  local lane = line[2] == 'dead' and redis.call('HGET', holding(line[1]), id)
  if lane then
    line[17] = line[17] or false
    line[18] = tostring(redis.call('ZCARD', lane_of(line[1], lane)) - 1)
  end
  reply[#reply + 1] = line
end
return reply
