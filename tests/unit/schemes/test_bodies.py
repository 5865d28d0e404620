"""Bodies: exactly the signed bytes count, and what is verified but not what the provider sends is `Unparsable`."""

import sys
from urllib.parse import quote_plus

import pytest

from eventroute.schemes import SCHEMES, Event, Events, Rejected, Request, Scheme, Unparsable, accepts, read, verify
from support.providers import NOW, SIGNING_ROWS, changed, send

JSON = (b"content-type", b"application/json")
FORM = (b"content-type", b"application/x-www-form-urlencoded")


def request(body: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request(method="POST", url=None, headers=headers, body=body)


def only_event(name: str, sent: Request) -> Event:
    result = read(SCHEMES[name], sent, decode=True)
    assert isinstance(result, Events), result
    (event,) = result.items
    return event


RESPELLED = {
    "with a final newline": b'{"type": "\xc3\xa9", "n": 1}\r\n',
    "with LF for CRLF": b'{"type": "\xc3\xa9",\n"n": 1}',
    "without spaces": b'{"type":"\xc3\xa9","n":1}',
    "with escapes": b'{"type": "\\u00e9", "n": 1}',
    "in another order": b'{"n": 1, "type": "\xc3\xa9"}',
    "empty": b"",
    "with a mark": b'\xef\xbb\xbf{"type": "\xc3\xa9", "n": 1}',
    "doubled": b'{"type": "\xc3\xa9", "n": 1}{"type": "\xc3\xa9", "n": 1}',
}


@pytest.mark.parametrize(
    "scheme",
    [row for row in SIGNING_ROWS if row.covers_body and not row.timestamp.startswith("body:")],
    ids=lambda r: r.name,
)
def test_the_same_values_in_other_bytes_are_another_body(scheme: Scheme) -> None:
    sent = send(scheme, body=b'{"type": "\xc3\xa9",\r\n"n": 1}', url="https://h.example/x")
    for body in RESPELLED.values():
        assert isinstance(verify(scheme, changed(sent.request, body=body), [sent.key], NOW), Rejected)


UNPARSABLE = {
    "empty": b"",
    "white space": b" \r\n",
    "not UTF-8": b"\xff\xfe{}",
    "UTF-16": '{"type":"a"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"type":"a"}',
    "NUL": b'{"type":"a"}\x00',
    "NUL in a text": b'{"type":"\x00"}',
    "NaN": b'{"type":NaN}',
    "Infinity": b'{"type":-Infinity}',
    "ten thousand levels": b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "a million open brackets": b"[" * 1_000_000,
    "a comment": b'{"type":"a"} // b',
    "two documents": b'{"type":"a"}{"type":"b"}',
    "cut off": b'{"type":"a"',
    "single quotes": b"{'type':'a'}",
    "a list": b'[{"type":"a"}]',
    "a text": b'"a"',
    "a number": b"7",
    "null": b"null",
    "true": b"true",
}


@pytest.mark.parametrize("body", UNPARSABLE.values(), ids=UNPARSABLE.keys())
def test_what_is_no_json_object_is_unparsable(body: bytes) -> None:
    for name in ("stripe", "slack", "github", "gitlab-token"):
        result = read(SCHEMES[name], request(body, JSON))
        assert isinstance(result, Unparsable)
        assert len(result.reason) < 60


@pytest.mark.parametrize("body", UNPARSABLE.values(), ids=UNPARSABLE.keys())
def test_a_reason_never_quotes_the_body(body: bytes) -> None:
    result = read(SCHEMES["stripe"], request(body.replace(b"type", b"sk_live_1"), JSON))
    assert isinstance(result, Unparsable)
    assert "sk_live_1" not in result.reason


@pytest.mark.parametrize(
    ("body", "value"), [(b"[1,2]", [1, 2]), (b'"x"', "x"), (b"7", 7), (b"null", None), (b"", None)]
)
def test_a_generic_source_may_send_any_json_or_nothing(body: bytes, value: object) -> None:
    event = only_event("generic", request(body, JSON))
    assert event.value == value
    assert event.payload == (body or b"null")
    assert [mark.kind for mark in event.marks] == (["copy"] if body else [])


def test_a_payload_is_decoded_only_for_whom_looks_into_it() -> None:
    result = read(SCHEMES["stripe"], request(b'{"type":"a"}', JSON))
    assert isinstance(result, Events)
    assert result.items[0].value is None


@pytest.mark.parametrize("number", [b"1e999", b"1" * 5_000, b"1" * 1_000_000], ids=["1e999", "5,000", "a million"])
def test_a_number_beyond_all_bounds_identifies_nothing_and_can_be_looked_into(number: bytes) -> None:
    sent = request(b'{"type":"a","id":' + number + b"}", JSON)
    result = read(SCHEMES["stripe"], sent)
    assert isinstance(result, Events)
    assert result.items[0].id is None
    assert only_event("stripe", sent).value == {"type": "a", "id": sys.float_info.max}


def test_half_an_emoji_in_an_id_or_a_type_is_read() -> None:
    event = only_event("stripe", request(b'{"type":"a\\ud83d","id":"\\ude42"}', JSON))
    assert (event.type, event.id) == ("a\ufffd", "\ufffd")


def test_of_equal_keys_the_last_counts() -> None:
    event = only_event("stripe", request(b'{"type":"a","id":"1","type":"b"}', JSON))
    assert event.type == "b"


def test_a_payload_keeps_the_providers_bytes() -> None:
    body = b'{"type": "a",\r\n "n": 1.50, "u": "\\u00e9", "big": 12345678901234567890123}\r\n'
    assert only_event("stripe", request(body, JSON)).payload == body


@pytest.mark.parametrize(
    ("content_type", "github", "stripe"),
    [
        (b"application/json", True, True),
        (b"application/json; charset=utf-8", True, True),
        (b"APPLICATION/JSON", True, True),
        (b"application/cloudevents+json", True, True),
        (b"application/x-www-form-urlencoded", True, False),
        (b"application/x-www-form-urlencoded;charset=UTF-8", True, False),
        (b"multipart/form-data; boundary=x", False, False),
        (b"text/plain", False, False),
        (b"text/json", False, False),
        (b"application/xml", False, False),
        (b"", False, False),
        (b"\xff", False, False),
    ],
)
def test_media_types_are_accepted_by_the_row(content_type: bytes, *, github: bool, stripe: bool) -> None:
    sent = request(b"{}", (b"content-type", content_type))
    assert accepts(SCHEMES["github"], sent) is github
    assert accepts(SCHEMES["stripe"], sent) is stripe
    if not stripe:
        assert read(SCHEMES["stripe"], sent) == Unparsable("unsupported media type")


def test_no_media_type_counts_as_json() -> None:
    assert accepts(SCHEMES["stripe"], request(b"{}"))
    assert only_event("stripe", request(b'{"type":"a"}')).type == "a"


def test_a_payload_form_is_its_json() -> None:
    payload = b'{"action":"opened","pull_request":{}}'
    body = b"payload=" + quote_plus(payload).encode()
    event = only_event("github", request(body, FORM, (b"x-github-event", b"pull_request")))
    assert event.payload == payload
    assert event.type == "pull_request.opened"


def test_slack_interactivity_and_slash_commands_are_read() -> None:
    interactive = only_event("slack", request(b"payload=%7B%22type%22%3A%22block_actions%22%7D", FORM))
    assert (interactive.type, interactive.value) == ("block_actions", {"type": "block_actions"})
    command = only_event("slack", request(b"command=%2Fweather&text=a+b&user_id=U1", FORM))
    assert command.type == "/weather"
    assert command.payload == b'{"command":"/weather","text":"a b","user_id":"U1"}'


def test_a_repeated_field_keeps_all_its_values() -> None:
    event = only_event("twilio", request(b"Digits=5&Digits=1&Digits=1&Body=", FORM))
    assert event.value == {"Digits": ["5", "1", "1"], "Body": ""}


@pytest.mark.parametrize(
    ("name", "body", "content_type"),
    [
        ("github", b"payload=%7B%7D&payload=%7B%7D", FORM),
        ("slack", b"payload=%7B%7D&payload=%7B%7D", FORM),
        ("github", b"other=1", FORM),
        ("github", b"", FORM),
        ("github", b"payload=", FORM),
        ("github", b"payload=%FF", FORM),
        ("github", b"payload=\xff", FORM),
        ("github", b"payload=%5B%5D", FORM),
        ("github", b"payload=" + b"%5B" * 10_000, FORM),
        ("slack", b'{"type":"event_callback"}', FORM),
        ("slack", b" [1]", FORM),
        ("slack", b"&".join(b"a=1" for _ in range(1001)), FORM),
        ("slack", b"command=%2Fweather", JSON),
        ("stripe", b"type=a", FORM),
    ],
)
def test_forms_that_are_none_are_unparsable(name: str, body: bytes, content_type: tuple[bytes, bytes]) -> None:
    assert isinstance(read(SCHEMES[name], request(body, content_type)), Unparsable)
