"""Whatever passes the rules means the same host to every program that may read it: nobody is led past them."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from eventroute.outbound import Blocked, OutboundRules, Target, read_url
from eventroute.outbound.address import kind_of

RULES = OutboundRules(ports=(443, 8443), allowed_hosts=("*.example.com", "example.com", "8.8.8.8", "2606:4700::1111"))
ALLOWED = ("example.com", "a.b.example.com", "8.8.8.8", "[2606:4700::1111]", "[::ffff:8.8.8.8]")
FORBIDDEN = (
    *("evil.example", "localhost", "127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "169.254.169.254"),
    *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "metadata.google.internal", "x.svc", "10.0.0.1"),
)
TRICKS = (
    *("@", ":", "\\", "/", "//", "#", "?", "%", "%00", "%2e", "%2f", "%40", "%5c", "[", "]", ".", "..", "。", "．"),
    *(
        "\t",
        "\n",
        "\r",
        " ",
        "\x00",
        "\u200b",
        "\u00ad",
        "ⓐ",
        "１",
        "ß",
        "ı",
        "*",
        ";",
        ",",
        "|",
        "^",
        "`",
        "0x",
        "xn--",
    ),
    *("user:pass@", ":443", ":8443", ":80", ":0443", ":", "https:", "http://", "HTTPS://", "&", "~", "!", "_", "-"),
)
PIECES = st.sampled_from([*ALLOWED, *FORBIDDEN, *TRICKS]) | st.characters(max_codepoint=0x2FFF) | st.text(max_size=3)
GOOD = st.builds(
    "https://{}{}{}".format,
    st.sampled_from(ALLOWED),
    st.sampled_from(["", ":443", ":8443"]),
    st.sampled_from(
        ["", "/", "/a/../b", "//evil.example/", "/%2e%2e/%2F?u=https://evil.example/", "?a=1", "/@x:y@z/;p"]
    ),
)
URLS = st.one_of(
    st.builds("".join, st.lists(st.sampled_from(["https://", "http:"]) | PIECES, min_size=1, max_size=6)),
    st.builds(lambda pieces: f"https://{''.join(pieces)}", st.lists(PIECES, min_size=1, max_size=6)),
    st.builds(lambda url, at, piece: f"{url[: at % 40]}{piece}{url[at % 40 :]}", GOOD, st.integers(0), PIECES),
    GOOD,
)


def read(url: str) -> Target | None:
    try:
        return read_url(url, RULES)
    except Blocked:
        return None


@given(URLS)
@example("https://example.com\\@evil.example/")
@example("https://example.com#@evil.example/")
@example("https://example.com:443@evil.example/")
@example("https://evil.example?@example.com/")
@example("https://example.com%00.evil.example/")
@example("https://[::ffff:8.8.8.8]/")
@example("https://a.b.example.com/%2e%2e//evil.example/?u=//evil.example")
def test_all_programs_read_the_host_that_was_judged(url: str) -> None:
    if (target := read(url)) is None:
        return
    host, port = target.endpoint.host, target.endpoint.port
    assert port in RULES.ports
    if target.endpoint.address:
        assert kind_of(target.endpoint.address) is None
    else:
        assert host == "example.com" or host.endswith(".example.com")
    split, yarl, x = urlsplit(url), URL(url), httpx.URL(url)
    for read_host, read_port in ((split.hostname, split.port), (yarl.host, yarl.port), (x.host, x.port)):
        assert same(read_host, host)
        assert (read_port or 443) == port
    assert not any((split.username, split.password, yarl.user, yarl.password, x.userinfo))


@given(URLS)
def test_what_is_sent_is_read_as_the_target_again(url: str) -> None:
    if (target := read(url)) is None:
        return
    again = URL(f"https://{target.authority}{target.path}", encoded=True)
    assert same(again.host, target.endpoint.host)
    assert again.raw_path_qs == target.path
    assert read_url(str(again), RULES) == target


def same(host: str | None, judged: str) -> bool:
    if host is None:
        return False
    return ip_address(host) == ip_address(judged) if ":" in judged else host == judged


def test_the_inputs_hold_what_passes_and_what_does_not() -> None:
    passing = {url for url in (f"https://{host}/" for host in ALLOWED[:4]) if read(url)}
    assert len(passing) == 4
    assert not any(read(f"https://{host}/") for host in FORBIDDEN)
