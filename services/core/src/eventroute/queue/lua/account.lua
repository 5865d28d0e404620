#!lua flags=allow-oom
-- Notes the limits of budgets, for people to look up, and tells how they stand.
--
-- ARGV     1 "1" when these are all of the group: others are forgotten, but for what they have spent
--          2.. scope, period in ms, most millionths of USD, most tokens, either may be empty, percent from which on to
--          warn, scope, ...
-- returns  per budget {spent millionths of USD, reserved ones, spent tokens, reserved ones, when its period ends in ms,
--          1 when it is to be warned of, which is told once a period}

local found, is_there = {}, {}
for i = 2, #ARGV, 5 do
  local scope, key = ARGV[i], budget(ARGV[i])
  local ends = turn(scope, tonumber(ARGV[i + 1]))
  is_there[scope] = true
  redis.call('SADD', BUDGETS, scope)
  local of = redis.call(
    'HMGET', key, 'spent_usd', 'reserved_usd', 'spent_tokens', 'reserved_tokens', 'period', 'usd', 'tokens'
  )
  if of[5] ~= ARGV[i + 1] or of[6] ~= ARGV[i + 2] or of[7] ~= ARGV[i + 3] then -- every second is asked, and seldom news
    redis.call('HSET', key, 'period', ARGV[i + 1], 'usd', ARGV[i + 2], 'tokens', ARGV[i + 3])
  end
  local state = {tonumber(of[1]), tonumber(of[2]) or 0, tonumber(of[3]), tonumber(of[4]) or 0, ends, 0}
  for j = 2, 3 do
    local most = tonumber(ARGV[i + j])
    if most and state[2 * j - 3] * 100 >= most * ARGV[i + 4] then
      state[6] = redis.call('HSETNX', key, 'warned', now)
    end
  end
  found[#found + 1] = state
end
if ARGV[1] == '1' then
  for _, scope in ipairs(redis.call('SMEMBERS', BUDGETS)) do
    if not is_there[scope] then
      redis.call('SREM', BUDGETS, scope)
    end
  end
end
return found
