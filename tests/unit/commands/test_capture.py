"""What a fixture keeps of a request, and what it leaves out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from eventroute.schemes import SCHEMES, generate_secret
from eventroute_cli.capture import Recorder, redact, redact_query, write_atomically
from eventroute_cli.fixtures import Recorded, Unreadable, read_fixtures, write_fixture
from eventroute_cli.samples import sample_request
from support.fetched_keys import from_aws, from_google, message
from support.providers import ROWS


async def record(
    recorder: Recorder, body: bytes, *, headers: list[tuple[bytes, bytes]], query: bytes = b"", method: str = "POST"
) -> int:
    """Send one request to the ASGI application; its status."""
    return int((await exchange(recorder, body, headers=headers, query=query, method=method))[0]["status"])


async def exchange(
    recorder: Recorder, body: bytes, *, headers: list[tuple[bytes, bytes]], query: bytes = b"", method: str = "POST"
) -> list[dict[str, Any]]:
    """Send one request to the ASGI application; all that it sends back."""
    scope = {"method": method, "scheme": "http", "raw_path": b"/x%2Fy", "query_string": query, "headers": headers}
    messages = [body[:10], body[10:]]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": messages.pop(0), "more_body": bool(messages)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await recorder(scope, receive, send)
    return sent


def names(directory: Path) -> list[str]:
    return [file.name for file in directory.iterdir()]


def recorded(directory: Path) -> Recorded:
    (file,) = directory.glob("*.json")
    (entry,) = read_fixtures(file)
    assert isinstance(entry, Recorded)
    return entry


@pytest.mark.parametrize("provider", [row.name for row in ROWS if row.signature.startswith("header:")])
def test_neither_secret_nor_signature_is_recorded(provider: str) -> None:
    pair = generate_secret(SCHEMES[provider])
    request = sample_request(provider, secret=pair.signing, url="https://h/x", now=1_800_000_000)
    headers = [(name.decode(), value.decode()) for name, value in request.headers]
    for known_as in (provider, ""):
        kept, redacted = redact(headers, known_as)
        assert redacted
        assert not {name for name, _ in kept} & set(redacted)
        assert pair.configured.decode() not in repr(kept)
        assert len(kept) + len(redacted) == len(headers)


def test_headers_that_prove_nothing_are_kept() -> None:
    headers = [("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "1"), ("Content-Type", "application/json")]
    assert redact(headers, "github") == (headers, [])


def test_secrets_in_the_query_are_replaced_and_other_queries_stay_as_they_are() -> None:
    assert redact_query("a=1&access_token=abc") == "a=1&access_token=%E2%80%A6"
    assert redact_query("b=%2F&a") == "b=%2F&a"


@pytest.mark.parametrize("body", [b'{"a": "\xc3\xa9"}\r\n', b"\xff\xfe\x00binary", b""])
async def test_the_body_is_recorded_byte_for_byte(tmp_path: Path, body: bytes) -> None:
    headers = [(b"host", b"h:1"), (b"x-sig", b"1"), (b"x-sig", b"2"), (b"authorization", b"Bearer secret")]
    assert await record(Recorder(tmp_path), body, headers=headers, query=b"token=abc") == 200
    entry = recorded(tmp_path)
    assert entry.body == body
    assert entry.headers == (("host", "h:1"), ("x-sig", "1"), ("x-sig", "2"))
    assert (entry.redacted, entry.url) == (("authorization",), "http://h:1/x%2Fy?token=%E2%80%A6")


async def test_credentials_are_kept_only_when_asked_for(tmp_path: Path) -> None:
    headers = [(b"authorization", b"Bearer secret")]
    await record(Recorder(tmp_path, keep_credentials=True), b"{}", headers=headers)
    assert recorded(tmp_path).headers == (("authorization", "Bearer secret"),)


@pytest.mark.parametrize(("limit", "status", "files"), [(11, 413, 0), (12, 200, 1)])
async def test_a_body_above_the_limit_is_refused_and_not_recorded(
    tmp_path: Path, limit: int, status: int, files: int
) -> None:
    assert await record(Recorder(tmp_path, max_body_bytes=limit), b"x" * 12, headers=[]) == status
    assert len(names(tmp_path)) == files


async def test_an_unreachable_receiver_is_told_apart_and_the_request_is_recorded(tmp_path: Path) -> None:
    assert await record(Recorder(tmp_path, forward="http://127.0.0.1:1/x"), b"{}", headers=[]) == 502
    assert recorded(tmp_path).body == b"{}"


async def test_a_request_is_forwarded_byte_for_byte_and_the_whole_answer_comes_back(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 Fine\r\nX-Hook-Secret: s3\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        recorder = Recorder(tmp_path, forward=f"http://127.0.0.1:{port}/to%2Fit?own=1")
        sent = await exchange(recorder, b"{}", headers=[(b"x-a", b"1"), (b"x-a", b"2")], query=b'a=%20b+c&d=~"|')
    [head] = heads
    assert head.startswith(b'POST /to%2Fit?own=1&a=%20b+c&d=~"| HTTP/1.1\r\n')
    assert [line for line in head.split(b"\r\n") if line.startswith(b"x-a")] == [b"x-a: 1", b"x-a: 2"]
    assert sent[0]["status"] == 204
    told = [pair for pair in sent[0]["headers"] if pair[0] != b"content-length"]
    assert told == [(b"x-hook-secret", b"s3"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]


@pytest.mark.parametrize(
    ("provider", "method", "query", "answer"),
    [
        ("meta", "GET", b"hub.mode=subscribe&hub.challenge=1158&hub.verify_token=whatever", b"1158"),
        ("dropbox", "GET", b"challenge=abc123", b"abc123"),
        ("microsoft-graph", "POST", b"validationToken=Validation%3A+a", b"Validation: a"),
    ],
)
async def test_a_set_up_request_is_answered_and_its_token_left_out(
    tmp_path: Path, provider: str, method: str, query: bytes, answer: bytes
) -> None:
    headers = [(b"content-type", b"text/plain")]
    sent = await exchange(Recorder(tmp_path, provider=provider), b"", headers=headers, query=query, method=method)
    assert (sent[0]["status"], sent[1]["body"]) == (200, answer)
    entry = recorded(tmp_path)
    assert entry.method == method
    assert "whatever" not in (entry.url or "")


def test_a_file_is_absent_or_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", b"one")
    write_atomically(tmp_path / "a.json", b"two")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("a.json", b"two")]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    entry = Recorded(
        id="x",
        provider="github",
        url="https://h/x",
        headers=(("X-A", "é"), ("X-A", "2"), ("X-B", "")),
        body=b"\xffx",
        now=1.5,
        redacted=("x-c",),
    )
    file = tmp_path / "x.json"
    file.write_bytes(write_fixture(entry))
    assert read_fixtures(file) == [entry]
    assert not isinstance(read_fixtures(file)[0], Unreadable)
    assert "secret" not in json.loads(file.read_bytes())


async def test_a_handshake_of_the_provider_is_answered(tmp_path: Path) -> None:
    body = b'{"type": "url_verification", "challenge": "abc"}'
    sent = await exchange(Recorder(tmp_path, provider="slack"), body, headers=[])
    assert (sent[0]["status"], sent[1]["body"]) == (200, b'{"challenge":"abc"}')
    assert await record(Recorder(tmp_path, provider="intercom"), b"", headers=[], method="HEAD") == 200


async def test_success_is_what_the_provider_takes_for_it(tmp_path: Path) -> None:
    assert SCHEMES["generic"].success_status == 202
    assert await record(Recorder(tmp_path, provider="generic"), b'{"type": "x"}', headers=[]) == 202
    assert await record(Recorder(tmp_path, provider="generic"), b"not JSON", headers=[]) == 202
    assert await record(Recorder(tmp_path), b"not JSON", headers=[]) == 200


async def test_success_is_said_as_the_provider_reads_it(tmp_path: Path) -> None:
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    texts = await exchange(Recorder(tmp_path, provider="twilio"), b"Body=hello&From=1", headers=form)
    assert ((b"content-type", b"text/xml") in texts[0]["headers"], texts[1]["body"]) == (True, b"<Response/>")
    event = await exchange(Recorder(tmp_path, provider="discord"), b'{"type": 1, "event": {"type": "X"}}', headers=[])
    assert (event[0]["status"], event[0]["headers"]) == (204, [(b"content-type", b"application/json")])


async def test_a_subscription_is_recorded_answered_and_not_confirmed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    request = from_aws(message("SubscriptionConfirmation"))
    recorder = Recorder(tmp_path, provider="aws-sns")
    assert await record(recorder, request.body, headers=list(request.headers)) == 200
    assert recorded(tmp_path).body == request.body
    shown = capsys.readouterr().out
    assert "confirm it by opening https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription" in shown


async def test_a_token_is_not_recorded(tmp_path: Path) -> None:
    request, recorder = from_google(), Recorder(tmp_path, provider="google-pubsub")
    assert await record(recorder, request.body, headers=list(request.headers)) == 200
    assert recorded(tmp_path).redacted == ("authorization",)
