"""A stand-in for Claude: the Messages API over HTTP, so that a first run needs no key and tests cost no money.

    request ─▶ app ─▶ api ─▶ request   is it a valid call?
                       │───▶ faults    does a script want something to go wrong?
                       │───▶ limits    is there room in this minute?
                       │───▶ answer    what to say, from what was asked
                       └───▶ journal   what tests and people look at afterwards
               ◀─ app (JSON or server-sent events, latency, cut connections)

Every answer starts with `[simulated]`. `server.serving` runs it inside a process, `command` alone.
"""
