"""A queue whose clock stands still, so that a call's result and all that it changes in Redis can be told exactly.

The scripts are the real ones on a real server, but for where they read the time. What a call changes is told by key,
without the group's prefix, and by field or member:

    {"running": {"d-1": "now + 15000"}, "d:d-1": {"fence": "1", "stage": None}, "ready:team-a/triage": None}

None is what is there no more. A key's lifetime stands under `(lives)` when the call has set it, in milliseconds.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from redis import exceptions
from redis.asyncio import Redis

from eventroute.queue import Admissions, Group, Limits, Upkeep, Work
from eventroute.runtime.scripts import Argument, Script, told
from support.queue import GROUP

START_MS: Final = 1_800_000_000_999
_NEAR_MS: Final = 10**10  # what is told as a distance from now: some months

_WHERE: Final = re.compile(r" script: .*@user_script:\d+\.")  # the line of a script says nothing
_CLOCK: Final = b"redis.call('TIME')"
_FOREVER: Final = b"""
for _, key in ipairs(redis.call('KEYS', '*')) do
  local ends = redis.call('PEXPIRETIME', key)
  if ends >= 0 then redis.call('PEXPIREAT', key, ends + 1e12) end
end
"""
"""A lifetime that is set to what it was is then seen to be set, and nothing ends while we look."""

_ENDS: Final = "(ends)"
_LIVES: Final = "(lives)"
_LOOK: Final = b"""
local seen = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind, content = redis.call('TYPE', key).ok, nil
  if kind == 'hash' then content = redis.call('HGETALL', key)
  elseif kind == 'zset' then content = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'string' then content = {'value', redis.call('GET', key)}
  elseif kind == 'list' then content = {'length', tostring(redis.call('LLEN', key))}
  elseif kind == 'set' then
    content = {}
    for _, member in ipairs(redis.call('SMEMBERS', key)) do
      content[#content + 1] = member
      content[#content + 1] = 'member'
    end
  else
    content = {}
    for number, entry in ipairs(redis.call('XRANGE', key, '-', '+')) do
      content[#content + 1] = 'entry ' .. number
      content[#content + 1] = table.concat(entry[2], ' ')
    end
  end
  seen[#seen + 1] = {key, content, redis.call('PEXPIRETIME', key), redis.call('PTTL', key)}
end
return {reply or false, seen}
"""


class StillQueue:
    """Calls scripts, and tells what the last call has changed."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.now_ms = START_MS
        """Redis' clock, until it is moved."""
        self.changes: dict[str, Any] = {}
        """What the last call has changed."""
        self.reply: Any = None
        """What the last script returned."""
        self.work, self.upkeep = Work(self), Upkeep(redis, self)

    def admissions(self, depth: int = 1000, size: int = 0, *, groups: int = 1) -> Admissions:
        """Make the receiver's calls, with limits on what is queued."""
        return Admissions(self, limits=Limits(depth, size), groups=groups)

    async def __call__(self, script: Script, key: str, args: Sequence[Argument]) -> Any:
        """Call a script."""
        _, before = await self.redis.eval(_FOREVER + b"local reply = false\n" + _LOOK, 0)
        try:
            self.reply, after = await self.redis.eval(self._stopped(script), 1, key, *args)
        except exceptions.TimeoutError:
            raise AssertionError(f"{script.name} does not come to an end") from None
        except exceptions.RedisError as error:
            raise told(type(error)(_WHERE.sub("", str(error)))) from error
        self.changes = self._compare(_by_key(before), _by_key(after))
        return self.reply

    def _stopped(self, script: Script) -> bytes:
        first, _, rest = script.source.partition(b"\n")
        assert rest.count(_CLOCK) <= 1, "the one place where scripts read the time"
        seconds, ms = divmod(self.now_ms, 1000)
        still = rest.replace(_CLOCK, b"{'%d', '%d'}" % (seconds, ms * 1000 + 999))
        return b"%s\nlocal function run()\n%s\nend\nlocal reply = run()\n%s" % (first, still, _LOOK)

    def _compare(self, before: Mapping[str, dict[str, str]], after: Mapping[str, dict[str, str]]) -> dict[str, Any]:
        changes: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
        for key, content in after.items():
            old = before.get(key, {_ENDS: "-1"})
            names = sorted((old.keys() | content.keys()) - {_ENDS, _LIVES})
            changed = {name: self.told(content.get(name)) for name in names if old.get(name) != content.get(name)}
            if old[_ENDS] != content[_ENDS]:
                changed[_LIVES] = "for ever" if content[_ENDS] == "-1" else content[_LIVES]
            if changed:
                changes[key] = changed
        return dict(sorted(changes.items()))

    def told(self, value: Any) -> Any:
        """Write a value for people: times as distances from now, and nothing that is not plain."""
        match value:
            case bytes():
                return self.told(value.decode(errors="backslashreplace"))
            case str():
                return self._told_text(str(value))
            case bool() | None:
                return value
            case int() | float():
                return self._told_text(str(value)) if abs(value - self.now_ms) < _NEAR_MS else value
            case Group():
                return value.prefix
            case tuple() if hasattr(value, "_asdict"):
                return self._told_fields(value, value._asdict())
            case msgspec.Struct():
                return self._told_fields(value, msgspec.structs.asdict(value))
            case Mapping():
                return dict(sorted((self.told(name), self.told(inner)) for name, inner in value.items()))
            case list() | tuple():
                return [self.told(inner) for inner in value]
            case _:
                raise TypeError(f"not foreseen: {value!r}")

    def _told_fields(self, value: object, fields: Mapping[str, Any]) -> Any:
        only = next(iter(fields.values()))
        return self.told(fields if len(fields) > 1 else {type(value).__name__: only})

    def _told_text(self, text: str) -> Any:
        if text.isdigit() and abs(int(text) - self.now_ms) < _NEAR_MS:
            ahead = int(text) - self.now_ms
            return "now" if not ahead else f"now {'+' if ahead > 0 else '-'} {abs(ahead)}"
        try:
            return self.told(json.loads(text)) if text.startswith("{") else text
        except ValueError:  # nothing but looks like JSON
            return text


def _by_key(seen: Sequence[Any]) -> dict[str, dict[str, str]]:
    found = {}
    for key, content, ends, lives in seen:
        texts = [each.decode(errors="backslashreplace") for each in content]
        fields = dict(zip(texts[::2], texts[1::2], strict=True))
        found[key.decode().removeprefix(GROUP.prefix)] = {**fields, _ENDS: str(ends), _LIVES: str(lives)}
    return found
