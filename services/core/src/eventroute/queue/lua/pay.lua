#!lua flags=allow-oom
-- Turns a reservation into what its call has cost. Not fenced: a worker that has lost its lease has paid all the same.
--
-- ARGV     1 delivery id  2 fence  3 millionths of USD  4 tokens; empty = as much as was reserved
-- returns  1, or 0 when nothing is reserved any more: it was paid, or counted as spent

return spend(ARGV[1] .. ':' .. ARGV[2], ARGV[3] ~= '' and ARGV[3] or nil, ARGV[4] ~= '' and ARGV[4] or nil)
