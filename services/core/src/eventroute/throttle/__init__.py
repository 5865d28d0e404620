"""The throttle that all workers share: who may ask Claude now, per API key and pool of models.

Each pair of key and pool has a *bucket*: what a minute allows of requests, input and output tokens, what is left of it,
how many calls may be under way at once, and which ones are. All of it is learned from what the API answers:

    limits          the `anthropic-ratelimit-*` headers; before the first answer there are none
    what is left    refilled by the clock, charged by each call's estimate, corrected by what it really used and by what
                    the headers say: those were true at some time of the call, so they bound it from below (as if all
                    that began since or just before came on top: calls overtake each other on their way) and from
                    above (as if none did, and all was refilled since); a 429 shows that less was left than it needed
    concurrency     begins at 5, and grows by one for each answer while at least a quarter of it is used, up to the
                    first 429 or 529; each of these halves it (once for all calls that were under way), and from there
                    it grows by one for as many answers as it allows calls
    `retry-after`   holds for everybody; where a 529 names none, the pause doubles each time, up to 15 s
    bursts          a minute's worth at once, until a 429 comes while the headers show room: from then on half a
                    second's, which is all that this one changes

    enter ──▶ place ──leave──▶ gone          of a delivery whose call fits now, and before which none waits
    enter ──▶ refused: it waits in the queue (`eventroute.queue`, state `throttled`)
    grant ──▶ granted ──enter──▶ place       of one that waited: the workers ask for places in the order of its turns
                 ╰──give_up, or (5 s)──▶ gone

A place is a call that is under way, or about to be; it ends by itself when the call must be over, so that a killed
worker's calls do not count for ever. Nobody overtakes: while others wait for a bucket, `enter` refuses whoever was not
granted a place. Input is estimated by the bytes of the prompt and what tokens they were before, output by what answers
were long before.

All buckets are in the first group: one key may be used by routes of all groups. Every script touches that server only,
may be called again when its reply got lost, and works in a full Redis. All times are Redis' own.
"""

from eventroute.throttle.bucket import (
    Asked,
    End,
    Figures,
    Granted,
    Quota,
    Refused,
    Size,
    Spent,
    Throttle,
    Told,
    bucket_name,
    figures,
)

__all__ = [
    "Asked",
    "End",
    "Figures",
    "Granted",
    "Quota",
    "Refused",
    "Size",
    "Spent",
    "Throttle",
    "Told",
    "bucket_name",
    "figures",
]
