#!lua flags=no-writes
-- Says which commands the user who asks may not run; none is run.
--
-- KEYS[1]  what all scripts declare
-- ARGV     per command: how many words it has, and the words
-- returns  the numbers, from 1, of the commands that are refused; none of a server that cannot tell

local refused, number, arg = {}, 0, 1
while arg <= #ARGV do
  local size = tonumber(ARGV[arg])
  number = number + 1
  local is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(ARGV, arg + 1, arg + size))
  if is_known and not is_allowed then
    refused[#refused + 1] = number
  end
  arg = arg + 1 + size
end
return refused
