"""A raw HTTP message is taken apart with its body byte for byte, however the tool that wrote it ends its lines."""

import pytest

from eventroute.errors import Refused
from eventroute_cli.raw_request import parse_request

CRLF_BODY = b'{"a": 1}\r\n\r\nmore\n'


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("body", [b"", b"{}", CRLF_BODY, b"\xff\x00\n\n"])
def test_the_body_is_what_follows_the_empty_line(end: bytes, body: bytes) -> None:
    message = end.join([b"POST /hooks/shop/pay?x=1 HTTP/1.1", b"Host: h", b"X-Sig:  v0=ab ", b"", body])
    raw = parse_request(message)
    assert (raw.method, raw.target, raw.body) == ("POST", "/hooks/shop/pay?x=1", body)
    assert raw.headers == (("Host", "h"), ("X-Sig", "v0=ab"))


def test_a_line_end_that_an_editor_added_is_cut_by_the_content_length() -> None:
    assert parse_request(b"POST / HTTP/1.1\nContent-Length: 2\n\n{}\n").body == b"{}"


def test_a_body_shorter_than_its_content_length_is_refused() -> None:
    with pytest.raises(Refused, match="has 2 bytes, and Content-Length says 3"):
        parse_request(b"POST / HTTP/1.1\nContent-Length: 3\n\n{}")


def test_a_chunked_body_is_put_together() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert parse_request(head + b'5;x=y\r\n{"a":\r\n3\r\n 1}\r\n0\r\n\r\n').body == b'{"a": 1}'


@pytest.mark.parametrize("body", [b'{"a":1}', b"face", b"5\r\nabc", b"-1\r\na", b""])
def test_a_body_that_was_already_put_together_is_left_alone(body: bytes) -> None:
    assert parse_request(b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n" + body).body == body


def test_header_values_keep_their_colons_and_latin_1() -> None:
    assert parse_request(b"POST / HTTP/1.1\nX-Caf\xe9: a:b\xe9").headers == (("X-Café", "a:bé"),)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"", "line 1: not a request line"),
        (b'{"json": true}', "line 1: not a request line"),
        (b"HTTP/1.1 200 OK\n\n", "line 1: not a request line"),
        (b"POST / HTTP/1.1\nno colon\n\n{}", "line 2: not a header"),
        (b"POST / HTTP/1.1\n folded: x\n\n{}", "line 2: not a header"),
        (b"POST / HTTP/1.1\nContent-Length: two\n\n{}", "Content-Length is 'two'"),
    ],
)
def test_what_is_no_request_is_refused_with_the_line(message: bytes, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        parse_request(message)


@pytest.mark.parametrize(
    ("target", "host", "url"),
    [("/a?b=1", "h:8080", "https://h:8080/a?b=1"), ("http://x/a", "h", "http://x/a"), ("/a", "", "/a")],
)
def test_the_url_is_guessed_from_the_host(target: str, host: str, url: str) -> None:
    lines = [f"GET {target} HTTP/1.1", *([f"Host: {host}"] if host else [])]
    assert parse_request("\n".join(lines).encode()).url == url
