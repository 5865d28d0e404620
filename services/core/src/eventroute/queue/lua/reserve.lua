#!lua flags=allow-oom
-- Reserves what a call may cost at most, in all of its budgets or in none; and in the same step, for the group of the
-- delivery, says that Claude is about to be asked: whatever ends the attempt from here on may have cost that much.
--
-- ARGV     1 delivery id  2 fence  3 "1" when the delivery is of this group; empty: only budgets of it are here
--          4 millionths of USD  5 tokens  6 after how many ms it counts as spent if its lease is lost and nobody has paid
--          7.. scope, period in ms, most millionths of USD, most tokens, either may be empty, scope, ...
-- returns  {"ok"}, {"lost"} when the lease is lost, or {"full", scope, when its period ends in ms}

local id, usd, tokens = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local name = id .. ':' .. ARGV[2]
if ARGV[3] == '1' and not holds(id, ARGV[2]) then
  return {'lost'}
end
if redis.call('HEXISTS', RESERVED, name) == 0 then
  local said = {now + ARGV[6], ARGV[4], ARGV[5]}
  for i = 7, #ARGV, 4 do
    local scope, most_usd, most_tokens = ARGV[i], tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
    local ends = turn(scope, tonumber(ARGV[i + 1]))
    local of = redis.call('HMGET', budget(scope), 'spent_usd', 'reserved_usd', 'spent_tokens', 'reserved_tokens')
    if (most_usd and of[1] + (of[2] or 0) + usd > most_usd)
        or (most_tokens and of[3] + (of[4] or 0) + tokens > most_tokens) then
      return {'full', scope, tostring(ends)}
    end
    said[#said + 1] = scope
    said[#said + 1] = ARGV[i + 1]
  end
  for i = 4, #said, 2 do
    redis.call('HINCRBY', budget(said[i]), 'reserved_usd', ARGV[4])
    redis.call('HINCRBY', budget(said[i]), 'reserved_tokens', ARGV[5])
  end
  if #said > 3 then
    redis.call('HSET', RESERVED, name, table.concat(said, ' '))
  end
end
if ARGV[3] == '1' then
  redis.call('HSET', delivery(id), 'stage', 'asking')
end
return {'ok'}
