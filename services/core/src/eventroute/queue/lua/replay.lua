#!lua flags=allow-oom
-- Runs deliveries again that have ended; their deadline counts from now.
--
-- ARGV     1 "resume": go on from what is saved; "whole": ask again, and tell every sink; "sinks": tell every sink again;
--          an answer that could not be sent is sent again by each of them
--          2.. delivery ids
-- returns  per id "ok", or why not: "unknown", "queued" (has not ended), "no_body" or "no_answer" (not kept any more)

local mode, reply = ARGV[1], {}
for i = 2, #ARGV do
  local id, key = ARGV[i], delivery(ARGV[i])
  local of = redis.call('HMGET', key, 'state', 'path', 'seq', 'newest_of')
  local size = redis.call('HSTRLEN', key, 'body')
  if not of[2] then
    reply[#reply + 1] = 'unknown'
  elseif of[1] ~= 'dead' and of[1] ~= 'settled' then
    reply[#reply + 1] = 'queued'
  elseif size == 0 then
    reply[#reply + 1] = 'no_body'
  elseif mode == 'sinks' and redis.call('HEXISTS', key, 'answer') == 0 then
    reply[#reply + 1] = 'no_answer'
  else
    local path = of[2]
    if redis.call('ZREM', dead(path), id) == 1 then
      redis.call('HINCRBY', route(path), 'dead_bytes', -size)
      redis.call('HDEL', holding(path), id) -- it has its lane still
    end
    redis.call('ZREM', finished('bodies', path), id)
    local gone = {'state', 'outcome', 'reason', 'detail', 'finished', 'attempts', 'waits', 'stage', 'last_error',
      'superseded_by'}
    if mode ~= 'resume' then
      for _, field in ipairs(redis.call('HKEYS', key)) do
        if string.sub(field, 1, 5) == 'sink:' then
          gone[#gone + 1] = field
        end
      end
    end
    if mode == 'whole' and not is_sending(path) then
      end_talk(key)
      gone[#gone + 1] = 'answer'
      gone[#gone + 1] = 'answered'
      gone[#gone + 1] = 'saved'
      gone[#gone + 1] = 'remembered'
    end
    redis.call('HDEL', key, unpack(gone))
    redis.call('PERSIST', key)
    redis.call('HSET', key, 'since', now, 'due', now)
    redis.call('HINCRBY', key, 'replays', 1)
    charge(path, 1, size)
    if of[4] and not newest_of(path, of[4]) then
      be_newest(path, of[4], id, of[3])
    end
    make_ready(path, id, of[3])
    reply[#reply + 1] = 'ok'
  end
end
return reply
