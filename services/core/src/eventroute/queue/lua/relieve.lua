#!lua flags=allow-oom
-- Makes room in a Redis that fills up: finished bodies of a route go before their time, then answers, then records.
--
-- ARGV     1 path  2 "bodies", "answers" or "records"  3 how old they must be, in ms  4 how many, at most
-- returns  how many went

return shed(ARGV[1], ARGV[2], now - tonumber(ARGV[3]), tonumber(ARGV[4]))
