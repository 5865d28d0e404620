"""`eventroute runs`, `dead`, `explain`, `stop` and `start`: what became of deliveries, and what people do about them.

`where` finds the Redis, `filters` reads which deliveries are meant, and `spread` makes options of both; `show` writes
what the queue's desk says, `story` tells of one delivery in plain words; `runs`, `dead`, `explain`, `budget` and
`switch` are the commands.
"""
