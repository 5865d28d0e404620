"""What became of deliveries, and what people do about them: the commands that look into an installation's queue.

`where` finds the Redis, `filters` reads which deliveries are meant, and `spread` makes options of both; `show` writes
what the queue's desk says, `story` tells of one delivery in plain words; `runs`, `dead`, `approvals`, `explain`,
`budget` and `switch` are the commands.
"""
