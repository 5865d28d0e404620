#!lua flags=allow-oom
-- Takes a place for a call, or says when to come back; whoever was granted one has it.
--
-- ARGV     1 bucket  2 delivery id  3 fence of its lease  4 bytes of its prompt  5 most tokens of its answer
--          6 when the call must be over, in ms from now  7 most calls under way
-- returns  {1} when it may ask, or {0, the earliest time at which it may, in ms}

local bucket, id, fence = ARGV[1], ARGV[2], ARGV[3]
local b, busy = open(bucket)
b.limit = math.min(b.limit, tonumber(ARGV[7]))
local ends = now + tonumber(ARGV[6])
local c = call_of(bucket, id)
if c and c.fence == fence then -- the reply got lost
  keep(bucket, id, c, ends)
  write(bucket, b)
  return {1}
end
if c and c.fence == '' then
  redeem(b, c)
  if b.blocked <= now then
    begin(b, c, fence)
    keep(bucket, id, c, ends)
    write(bucket, b)
    return {1}
  end
  give_back(b, c)
end
if c then -- of a worker that is gone: its call has been charged, and this one is another one
  drop(bucket, id)
  busy = busy - 1
end
c = estimate(b, tonumber(ARGV[4]), tonumber(ARGV[5]))
local at = earliest(b, c, busy)
if at <= now and b.line <= now then
  for _, kind in ipairs(KINDS) do
    charge(b, kind, c.charged[kind])
  end
  begin(b, c, fence)
  keep(bucket, id, c, ends)
  write(bucket, b)
  return {1}
end
b.line, b.refused = math.max(b.line, at + WAITING_MS), now
write(bucket, b)
return {0, at}
