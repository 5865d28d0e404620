#!lua flags=allow-oom
-- Starts the installation again, in its first group.
--
-- ARGV     1 who
-- returns  1, or 0 when it is not stopped

if redis.call('HDEL', STOP, 'since', 'by', 'reason') == 0 then
  return 0
end
redis.call('HSET', STOP, 'started', now, 'started_by', ARGV[1]) -- the time in between counts against no deadline
return 1
