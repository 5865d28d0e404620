#!lua flags=no-writes
-- Tells how much memory the group's server uses, and how much it may.
--
-- returns  {bytes used, bytes allowed; 0 = any}

local info = redis.call('INFO', 'memory')
return {tonumber(string.match(info, 'used_memory:(%d+)')), tonumber(string.match(info, 'maxmemory:(%d+)')) or 0}
