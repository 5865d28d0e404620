#!lua flags=no-writes
-- Counts what the autoscaler goes by: jobs due or running, and apart from them the deferred ones.
--
-- KEYS     1 queue
-- returns  {due and running, deferred}

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZCOUNT', KEYS[1], '-inf', now)
return {due, redis.call('ZCARD', KEYS[1]) - due}
