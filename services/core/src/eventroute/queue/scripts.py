"""The queue's scripts, read once: `lua/*.lua`, whose headers are their contracts."""

from typing import Final

from eventroute.runtime.scripts import Script

NAMES: Final[dict[str | bytes, str]] = {}
"""Digest, or whole script, → name, to be told in traces."""


def _script(name: str) -> Script:
    script = Script(__package__ or "", name, shared="lib")
    NAMES[script.sha] = NAMES[script.source] = name
    return script


ACCOUNT: Final = _script("account")
ADMIT: Final = _script("admit")
AFFORD: Final = _script("afford")
BEGIN: Final = _script("begin")
CALL_UP: Final = _script("call_up")
DISCARD: Final = _script("discard")
FORSAKE: Final = _script("forsake")
GLANCE: Final = _script("glance")
HAND_OVER: Final = _script("hand_over")
HOLD: Final = _script("hold")
HURRY: Final = _script("hurry")
KEEP: Final = _script("keep")
LAPSE: Final = _script("lapse")
LEASE: Final = _script("lease")
LIMIT: Final = _script("limit")
LOAD: Final = _script("load")
MEMORY: Final = _script("memory")
NOTE: Final = _script("note")
PACE: Final = _script("pace")
PARK: Final = _script("park")
PAY: Final = _script("pay")
PLACE: Final = _script("place")
PUT_BACK: Final = _script("put_back")
RELEASE: Final = _script("release")
RELIEVE: Final = _script("relieve")
REMEMBER: Final = _script("remember")
RENEW: Final = _script("renew")
REPLAY: Final = _script("replay")
RESERVE: Final = _script("reserve")
SAVE: Final = _script("save")
SETTLE: Final = _script("settle")
SPARE: Final = _script("spare")
START: Final = _script("start")
STOP: Final = _script("stop")
STREAM: Final = _script("stream")
TURN: Final = _script("turn")
UNPARK: Final = _script("unpark")
WAIT: Final = _script("wait")
WANT: Final = _script("want")
