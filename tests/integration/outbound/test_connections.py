"""Connections: kept for the same name, address and port alone; no proxy or password of the surroundings; a proxy's."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from eventroute.outbound import Blocked, Rule
from eventroute.runtime.metrics import REGISTRY
from eventroute_worker.outbound import Bounds, NoAnswer, Request
from eventroute_worker.resolve import SystemResolver
from support.certificates import Authority
from support.odd_server import Asked, answer, odd_server
from support.outbound import NewOutbound

pytestmark = pytest.mark.real


async def test_a_connection_is_kept_for_the_same_name_and_for_no_other(
    new_outbound: NewOutbound, authority: Authority
) -> None:
    certified = authority.certify("a.example.com", "b.example.com")
    async with odd_server(answer(), certified=certified) as server:
        outbound = await new_outbound(server.port)
        for host, connections in (("a", 1), ("a", 1), ("b", 2), ("b", 2), ("a", 2)):
            await outbound.send(Request("GET", f"https://{host}.example.com:{server.port}/"))
            assert server.connections == connections
        assert {(asked.server_name, asked.headers["host"].partition(":")[0]) for asked in server.asked} == {
            ("a.example.com", "a.example.com"),
            ("b.example.com", "b.example.com"),
        }


async def test_without_tls_too_a_connection_is_kept_for_one_name(new_outbound: NewOutbound) -> None:
    async with odd_server(answer()) as server:
        outbound = await new_outbound(server.port)
        for host, connections in (("a", 1), ("a", 1), ("b", 2), ("a", 2)):
            await outbound.send(Request("GET", f"http://{host}.localhost:{server.port}/"))
            assert server.connections == connections


async def test_a_connection_is_not_kept_for_another_address(new_outbound: NewOutbound) -> None:
    leads_to = ["127.0.0.1"]

    async def resolve(_: str) -> list[str]:
        return list(leads_to)

    async with odd_server(answer(), host="0.0.0.0") as server:
        outbound = await new_outbound(server.port, resolve=resolve)
        for address, connections in (("127.0.0.1", 1), ("127.0.0.2", 2), ("127.0.0.1", 2)):
            leads_to[:] = [address]
            await outbound.send(Request("GET", f"http://a.localhost:{server.port}/"))
            assert server.connections == connections


async def test_one_place_has_so_many_connections_at_once(new_outbound: NewOutbound) -> None:
    async def later(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await answer()(asked, writer)

    async with odd_server(later) as server:
        outbound = await new_outbound(server.port)
        request = Request("GET", f"http://localhost:{server.port}/")
        async with asyncio.TaskGroup() as group:
            for _ in range(50):
                group.create_task(outbound.send(request))
        assert len(server.asked) == 50
        assert server.connections == 16


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_nothing_is_sent_twice_when_a_kept_connection_breaks(new_outbound: NewOutbound, method: str) -> None:
    async def answer_once(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if len(server.asked) == 1:
            await answer()(asked, writer)
        else:
            writer.close()

    async with odd_server(answer_once) as server:
        outbound = await new_outbound(server.port)
        request = Request("GET", f"http://localhost:{server.port}/")
        assert (await outbound.send(request)).status == 200
        with pytest.raises(NoAnswer, match="the connection broke before an answer came") as caught:
            await outbound.send(Request(method, request.url, body=b""))  # type: ignore[arg-type]
        assert caught.value.may_have_arrived
        assert len(server.asked) == 2


async def test_no_proxy_and_no_password_of_the_surroundings_is_used(
    new_outbound: NewOutbound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with (
        odd_server(answer(b"proxy")) as proxy,
        odd_server(answer(b"server", "Set-Cookie: a=b; Path=/")) as server,
    ):
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        netrc = tmp_path / "netrc"
        netrc.write_text("default login me password hush\n", encoding="utf-8")
        monkeypatch.setenv("NETRC", str(netrc))
        outbound = await new_outbound(server.port)
        for _ in range(2):
            assert (await outbound.send(Request("GET", f"http://localhost:{server.port}/"))).body == b"server"
        assert proxy.connections == 0
        assert not any(asked.headers.keys() & {"authorization", "cookie"} for asked in server.asked)


async def test_through_a_proxy_the_name_goes_and_its_certificate_is_checked_here(
    new_outbound: NewOutbound, authority: Authority
) -> None:
    name = "hooks.example.com"

    async def never(_: str) -> list[str]:
        raise AssertionError("the proxy looks names up")

    async with (
        odd_server(answer(b"ok", "Set-Cookie: a=b"), certified=authority.certify(name)) as server,
        _tunnel(server.port) as proxy,
    ):
        outbound = await new_outbound(
            443, 8443, resolve=never, proxy=f"http://127.0.0.1:{proxy.port}", allowedHosts=["*.example.com"]
        )
        assert (await outbound.send(Request("GET", f"https://{name}:8443/x"))).status == 200
        assert proxy.asked == [f"CONNECT {name}:8443 HTTP/1.1"]
        assert [(asked.line, asked.server_name) for asked in server.asked] == [("GET /x HTTP/1.1", name)]
        await outbound.send(Request("GET", f"https://{name}:8443/x"))
        assert "cookie" not in server.asked[-1].headers
        with pytest.raises(NoAnswer, match="Hostname mismatch"):
            await outbound.send(Request("GET", "https://other.example.com/"))
        for url, rule in {
            "https://elsewhere.com/": Rule.HOST,
            "https://hooks.example.com:22/": Rule.PORT,
            "https://10.0.0.1/": Rule.HOST,
            "https://metadata.google.internal/": Rule.METADATA,
        }.items():
            with pytest.raises(Blocked) as caught:
                await outbound.send(Request("GET", url))
            assert caught.value.rule is rule
        assert len(server.asked) == 2


async def test_a_proxy_that_refuses_is_told(new_outbound: NewOutbound) -> None:
    async with odd_server(answer(b"", status="403 Forbidden")) as proxy:
        outbound = await new_outbound(443, proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(NoAnswer, match="the proxy answers 403") as caught:
            await outbound.send(Request("POST", "https://example.com/", body=b"x"))
        assert not caught.value.may_have_arrived


async def test_what_is_beside_the_worker_does_not_go_through_the_proxy(new_outbound: NewOutbound) -> None:
    async with odd_server(answer(b"proxy")) as proxy, odd_server(answer(b"server")) as server:
        outbound = await new_outbound(server.port, proxy=f"http://127.0.0.1:{proxy.port}")
        assert (await outbound.send(Request("GET", f"http://localhost:{server.port}/"))).body == b"server"
        assert proxy.connections == 0


async def test_a_name_that_nobody_answers_for_holds_up_no_other(new_outbound: NewOutbound) -> None:
    release, begun = threading.Event(), []

    def look_up(name: str) -> list[str]:
        begun.append(name)
        if name == "dead.example.com":
            release.wait(20)
        return ["127.0.0.1"]

    resolver = SystemResolver(look_up)
    waiting = [asyncio.create_task(resolver("dead.example.com")) for _ in range(100)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await resolver("alive.example.com") == ["127.0.0.1"]
    assert begun.count("dead.example.com") == 1
    waiting[0].cancel()
    release.set()
    assert await asyncio.gather(*waiting[1:]) == [["127.0.0.1"]] * 99
    resolver.close()


async def test_the_system_knows_localhost() -> None:
    resolver = SystemResolver()
    assert set(await resolver("localhost")) <= {"127.0.0.1", "::1"}
    resolver.close()


async def test_refusals_are_counted_by_their_rule(new_outbound: NewOutbound) -> None:
    def counted(rule: Rule) -> float:
        return REGISTRY.get_sample_value("eventroute_worker_outbound_blocked_total", {"rule": rule}) or 0

    before = counted(Rule.PRIVATE), counted(Rule.SCHEME)
    outbound = await new_outbound(443)
    for url in ("https://10.0.0.1/", "ftp://example.com/"):
        with pytest.raises(Blocked):
            await outbound.send(Request("GET", url), Bounds())
    assert (counted(Rule.PRIVATE), counted(Rule.SCHEME)) == (before[0] + 1, before[1] + 1)


@dataclass
class _Proxy:
    port: int
    asked: list[str]


@asynccontextmanager
async def _tunnel(port: int) -> AsyncIterator[_Proxy]:
    """Run a proxy that leads to one port whatever it is asked for."""
    found = _Proxy(0, [])

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found.asked.append(head.decode().partition("\r\n")[0])
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pipe(reader, onward_writer), _pipe(onward_reader, writer))

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
    except ConnectionError:
        pass
    finally:
        writer.close()
