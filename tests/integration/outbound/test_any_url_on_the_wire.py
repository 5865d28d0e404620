"""Any spelling of a URL: what is looked up and what the server hears is what was judged, or nothing happens at all."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventroute.outbound import Blocked, OutboundRules, read_url
from eventroute_worker.outbound import Bounds, NoAnswer, Outbound, Request
from support.odd_server import answer, odd_server

pytestmark = pytest.mark.real

PIECES = st.sampled_from(
    [
        *(
            "a.localhost",
            "localhost",
            "b.localhost",
            "evil.example",
            "10.0.0.1",
            "127.0.0.1",
            "0x7f.1",
            "{port}",
            ":{port}",
        ),
        *(
            "@",
            "\\",
            "/",
            "//",
            "?",
            "#",
            "%2e",
            "%40",
            "%00",
            "%",
            "[",
            "]",
            ".",
            "..",
            "。",
            "\r\n",
            "\t",
            " ",
            "&",
            ";",
        ),
        *("X: y", "http://", "user:pass@", "ä", "~", "'", '"', "<", "|", "^", "*"),
    ]
)
URLS = st.one_of(
    st.builds(lambda pieces: "http://a.localhost:{port}/" + "".join(pieces), st.lists(PIECES, max_size=6)),
    st.builds(lambda pieces: "http://a.localhost:{port}?" + "".join(pieces), st.lists(PIECES, max_size=4)),
    st.builds(lambda pieces: "http://" + "".join(pieces), st.lists(PIECES, min_size=1, max_size=6)),
)


@settings(max_examples=150, deadline=None)
@given(URLS)
@example("http://a.localhost:{port}\\@b.localhost:{port}/")
@example("http://a.localhost:{port}//b.localhost/%2e%2e/../?x=http://b.localhost/")
@example("http://b.localhost:{port}@a.localhost:{port}/")
def test_what_happens_is_what_was_judged(url: str) -> None:
    asyncio.run(assert_sent_as_judged(url))


async def assert_sent_as_judged(form: str) -> None:
    asked_for: list[str] = []

    async def resolve(name: str) -> Sequence[str]:
        asked_for.append(name)
        return ["127.0.0.1"]

    rules = OutboundRules(mode="dev")
    async with odd_server(answer()) as server, Outbound(rules, resolve=resolve) as outbound:
        url = form.replace("{port}", str(server.port))
        try:
            await outbound.send(Request("GET", url), Bounds(deadline_s=5))
        except Blocked:
            assert not asked_for
            assert not server.connections
            return
        except NoAnswer:
            assert not server.connections
        target = read_url(url, rules)
        assert asked_for == ([] if target.endpoint.address else [target.endpoint.host])
        for asked in server.asked:
            assert asked.headers["host"] == target.authority
            assert asked.line == f"GET {target.path} HTTP/1.1"
            assert any(text.endswith(target.path.removeprefix("/")) for text in (url, url.removesuffix("?")))
