"""What a receiver lets in, a worker reads: the same table of bodies for both, and nothing genuine is lost."""

import sys
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventroute.delivery import decode_delivery, encode_delivery
from eventroute.expression import compile_expression
from eventroute.payload import MAX_DEPTH, Unparsable, open_json, read_json
from eventroute.prompt import Event as PromptEvent
from eventroute.schemes import SCHEMES, Events, Request, read
from support.routes import event, plan

LARGEST = sys.float_info.max
READ: dict[str, tuple[bytes, Any]] = {
    "too large a number": (b'{"n":1e999}', {"n": LARGEST}),
    "too small a number": (b'{"n":-1E+999,"m":1}', {"n": -LARGEST, "m": 1}),
    "too large, with a point": (b'{"n":' + b"9" * 400 + b".5}", {"n": LARGEST}),
    "too large, in a list": (b'{"n":[1, 1e400 ,-2.5e-3]}', {"n": [1, LARGEST, -0.0025]}),
    "next to nothing": (b'{"n":1e-999}', {"n": 0.0}),
    "an integer beyond 64 bits": (b'{"n":123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
    "an integer beyond all floats": (b'{"n":' + b"9" * 400 + b"}", {"n": int("9" * 400)}),
    "an integer of 4,299 digits": (b'{"n":-' + b"9" * 4299 + b"}", {"n": -int("9" * 4299)}),
    "an integer that Python does not print": (b'{"n":-' + b"9" * 4301 + b"}", {"n": -LARGEST}),
    "such a number in a text": (b'{"a":"1e999 \\" 1e999","n":1e999}', {"a": '1e999 " 1e999', "n": LARGEST}),
    "the first half of an emoji": (b'{"a":"cut \\ud83d"}', {"a": "cut \ufffd"}),
    "the second half": (b'{"a":"\\uDE42 cut"}', {"a": "\ufffd cut"}),
    "half an emoji before a letter": (b'{"a":"\\uD83dx\\u0041"}', {"a": "\ufffdxA"}),
    "two first halves, one second": (b'{"a":"\\ud83d\\ud83d\\ude42"}', {"a": "\ufffd\U0001f642"}),
    "the wrong way round": (b'{"a":"\\ude42\\ud83d"}', {"a": "\ufffd\ufffd"}),
    "half an emoji in a key": (b'{"\\ud83d":1}', {"\ufffd": 1}),
    "no half, only spelled like one": (b'{"a":"\\\\ud83d","b":"\\ud83d"}', {"a": "\\ud83d", "b": "\ufffd"}),
    "a whole emoji": (b'{"a":"\\ud83d\\ude42"}', {"a": "\U0001f642"}),
    "both": (b'{"a":"\\ud83d","n":1e999}', {"a": "\ufffd", "n": LARGEST}),
    "equal keys": (b'{"a":1,"a":2}', {"a": 2}),
    "brackets in texts": (b'{"a":"' + b'[\\"{\\\\' * 1000 + b'"}', {"a": '["{\\' * 1000}),
    "many brackets, few levels": (b'{"a":[' + b"[],{}," * 2000 + b"1]}", {"a": [[], {}] * 2000 + [1]}),
}
REFUSED = {
    "nothing": b"",
    "NaN": b'{"n":NaN}',
    "no number": b'{"n":1e999.5}',
    "a number with a leading zero": b'{"n":01e999}',
    "no UTF-8": b'{"a":"\xff"}',
    "a surrogate in UTF-8": b'{"a":"\xed\xa0\xbd"}',
    "half an escape": b'{"a":"\\ud8"}',
    "a text that never ends": b'{"a":"\\ud83d}',
    "cut off after a backslash": b'{"a":"\\ud83d\\',
}


def nested(depth: int) -> bytes:
    """Write an object of so many levels."""
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def received(body: bytes) -> bytes | Unparsable:
    """Return what the receiver would hand on."""
    request = Request(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=body)
    result = read(SCHEMES["stripe"], request)
    assert isinstance(result, Events | Unparsable)
    return result if isinstance(result, Unparsable) else result.items[0].payload


def worked_on(payload: bytes) -> PromptEvent:
    """Take a payload through Redis, as a worker reads it."""
    stored = encode_delivery(event({}).delivery).replace(b'"payload":{}', b'"payload":' + payload)
    known = event({}).delivery
    return PromptEvent(decode_delivery(stored, id=known.id, route=known.route, received_ms=known.received_ms))


@pytest.mark.parametrize(("body", "value"), READ.values(), ids=READ)
def test_both_programs_read_it_alike(body: bytes, value: Any) -> None:
    payload = received(body)
    assert isinstance(payload, bytes), payload
    assert worked_on(payload).payload == read_json(payload) == read_json(body) == value


@pytest.mark.parametrize(("body", "value"), READ.values(), ids=READ)
def test_a_filter_sees_the_same(body: bytes, value: Any) -> None:
    request = Request(method="POST", url=None, headers=[(b"content-type", b"application/json")], body=body)
    result = read(SCHEMES["stripe"], request, decode=True)
    assert isinstance(result, Events), result
    assert result.items[0].value == value


@pytest.mark.parametrize(("body", "_value"), READ.values(), ids=READ)
def test_it_survives_expressions_templates_and_the_prompt(body: bytes, _value: Any) -> None:
    payload = received(body)
    assert isinstance(payload, bytes)
    work = worked_on(payload)
    for template in (None, "{{ payload | json }} {{ payload.n }} {{ payload.a }} {{ payload }}"):
        route = plan(prompts=[{"user": template} if template else {}], entity="payload.n")
        assert route.build_prompt(0, work).user.encode()
        assert route.entity
        route.entity.text(work.variables)
    for source in ("payload.n > 5", "payload.n == 1.5", "payload.a == payload.n", "size(payload) == 1"):
        compile_expression(source).test(work.variables)


def test_a_number_beyond_all_floats_compares_as_it_should() -> None:
    variables: dict[str, Any] = {"payload": read_json(b'{"n":1e999}'), "event": "", "headers": {}, "route": {}}
    assert compile_expression("payload.n > 1000000").test(variables).holds
    assert not compile_expression("payload.n < 0.0").test(variables).holds


@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_no_json_is_refused_by_both(body: bytes) -> None:
    assert received(body) == read_json(body) == Unparsable("not valid JSON")


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH])
def test_what_is_as_deep_as_allowed_is_read_by_both(depth: int) -> None:
    payload = received(nested(depth))
    assert isinstance(payload, bytes)
    assert plan().build_prompt(0, worked_on(payload)).user


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 600, 900, 950, 999, 1000, 5_000, 100_000])
def test_what_is_deeper_is_refused_by_both_whatever_the_interpreter_would_stand(depth: int) -> None:
    for body in (nested(depth), nested(depth).replace(b"[]", b'["]]\\"]"]'), b'{"n":1e999,' + nested(depth)[1:]):
        assert received(body) == read_json(body) == Unparsable("JSON nested too deeply")


@pytest.mark.parametrize("spare", range(0, 900, 60))
def test_the_callers_own_frames_make_no_difference(spare: int) -> None:
    def deeper(frames: int) -> object:
        return deeper(frames - 1) if frames else (received(nested(MAX_DEPTH)), received(nested(MAX_DEPTH + 1)))

    frames = min(spare, 300)  # more than any program of ours has
    assert deeper(frames) == (nested(MAX_DEPTH), Unparsable("JSON nested too deeply"))


def test_an_ordinary_body_is_kept_byte_for_byte() -> None:
    body = b' {"type": "a",\r\n "n": 1.50, "u": "\\u00e9", "e": "\\ud83d\\ude42", "big": 1e999}\r\n'
    opened = open_json(body)
    assert not isinstance(opened, Unparsable)
    assert opened.text == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b'\\"' * 500_000,
        b'"' * 1_000_000,
        b"[" * 1_000_000,
        b'{"a":"\\ud83d","b":[' + b"{}," * 300_000 + b"1]}",
        b"[" + b"1e999," * 20_000 + b"1]",
        b"[" + (b"[" * 400 + b"]" * 400 + b",") * 1_000 + b"1]",
    ],
    ids=["escaped quotes", "quotes", "brackets", "a wide batch", "large numbers", "deep and wide"],
)
def test_no_body_takes_long(body: bytes) -> None:
    started = time.process_time()
    open_json(body)
    read_json(body)
    assert time.process_time() - started < 20  # linear work takes a second at most, quadratic work hours


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.integers(0, 200), st.sampled_from([b"\\ud83d", b"1e999", b'"', b"\\", b"[", b"}", b",", b"\xff", b""]))
def test_whatever_is_opened_can_be_read(value: Any, at: int, inserted: bytes) -> None:
    body = msgspec.json.encode(value)
    body = body[:at] + inserted + body[at:]
    opened = open_json(body)
    found = read_json(body)
    assert isinstance(opened, Unparsable) == isinstance(found, Unparsable)
    if not isinstance(opened, Unparsable):
        assert read_json(opened.text) == found
        assert msgspec.json.encode(found)
