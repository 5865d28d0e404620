#!lua flags=allow-oom
-- Stops the installation, in its first group: workers take nothing more, whatever its group.
--
-- ARGV     1 who  2 why, may be empty
-- returns  1, or 0 when it is stopped already; then that stays as it was told

if redis.call('HEXISTS', STOP, 'since') == 1 then
  return 0
end
redis.call('HSET', STOP, 'since', now, 'by', ARGV[1], 'reason', ARGV[2])
return 1
