"""`eventroute runs`, `dead` and `explain`: what became of deliveries, and what to do about those that failed.

`where` finds the Redis, `filters` reads which deliveries are meant, `show` writes what the queue's desk says, `story`
tells of one delivery in plain words; `runs`, `dead` and `explain` are the commands.
"""
