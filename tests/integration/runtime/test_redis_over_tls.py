"""Redis over TLS: who is believed, who is not, and that certificates are taken up when they are replaced."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from eventroute.errors import Refused
from eventroute.runtime.redis import CONNECTION_ERRORS, connect
from support.certificates import Authority
from support.redis_link import linked, naming
from support.tls_front import tls_front
from support.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def behind(valkey_url: str) -> int:
    return urlsplit(valkey_url).port or 0


@pytest.fixture
async def port(authority: Authority, behind: int) -> AsyncIterator[int]:
    async with tls_front(behind, authority.certify("127.0.0.1")) as port:
        yield port


async def refusal(url: str) -> str:
    """Tell why neither the client nor the receiver's link gets in."""
    async with connect(url) as redis, linked(url) as link:
        with pytest.raises(CONNECTION_ERRORS) as refused:
            await redis.ping()
        await asyncio.sleep(0.05)
        assert not link.is_up
    return str(refused.value)


async def assert_served(url: str) -> None:
    async with connect(url) as redis, linked(url) as link:
        assert await redis.ping()
        await until(lambda: link.is_up and link._large.wire is not None)  # what is large has a connection of its own
        assert await link.call("ECHO", "x" * 100_000) == b"x" * 100_000


async def test_a_server_that_our_authority_has_signed_is_believed(authority: Authority, port: int) -> None:
    await assert_served(f"rediss://127.0.0.1:{port}/1?ssl_ca_certs={authority.certfile}")


async def test_a_server_that_another_authority_has_signed_is_not(tmp_path: Path, port: int) -> None:
    another = Authority(tmp_path, "another")
    assert "certificate verify failed" in await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs={another.certfile}")


async def test_without_an_authority_of_our_own_the_systems_decide(port: int) -> None:
    assert "certificate verify failed" in await refusal(f"rediss://127.0.0.1:{port}")


async def test_a_certificate_for_another_host_is_not_believed(authority: Authority, behind: int) -> None:
    async with tls_front(behind, authority.certify("redis.example", "127.0.0.2")) as port:
        told = await refusal(f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.certfile}")
    assert "IP address mismatch" in told


async def test_a_host_name_is_checked_as_a_name(authority: Authority, behind: int) -> None:
    async with tls_front(behind, authority.certify("localhost")) as port:
        await assert_served(f"rediss://localhost:{port}?ssl_ca_certs={authority.certfile}")


async def test_sentinels_and_the_server_that_they_name_are_both_reached_by_tls(authority: Authority, port: int) -> None:
    sentinel = naming(port)
    async with sentinel.serving(), tls_front(sentinel.port, authority.certify("127.0.0.1", name="sentinel")) as front:
        await assert_served(f"rediss+sentinel://127.0.0.1:{front}/main?ssl_ca_certs={authority.certfile}")
        assert "certificate verify failed" in await refusal(f"rediss+sentinel://127.0.0.1:{front}/main")


async def test_a_server_without_tls_is_not_talked_to(authority: Authority, behind: int) -> None:
    assert "Timeout" in await refusal(f"rediss://127.0.0.1:{behind}?ssl_ca_certs={authority.certfile}")


async def test_our_own_certificate_is_shown_where_the_server_asks_for_one(authority: Authority, behind: int) -> None:
    server, client = authority.certify("127.0.0.1"), authority.certify("receiver", name="client")
    async with tls_front(behind, server, clients_of=authority.certfile) as port:
        url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={authority.certfile}"
        await assert_served(f"{url}&ssl_certfile={client.certfile}&ssl_keyfile={client.keyfile}")
        await refusal(url)


async def test_an_authority_that_is_replaced_on_disk_counts_from_the_next_connection(
    tmp_path: Path, authority: Authority, port: int
) -> None:
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(Authority(tmp_path, "old").certfile.read_bytes())
    url = f"rediss://127.0.0.1:{port}?ssl_ca_certs={trusted}"
    async with connect(url) as redis, linked(url) as link:
        with pytest.raises(CONNECTION_ERRORS, match="certificate verify failed"):
            await redis.ping()
        trusted.write_bytes(authority.certfile.read_bytes())
        assert await redis.ping()
        await until(lambda: link.is_up)


def test_a_file_that_cannot_be_used_ends_the_start_with_its_name(tmp_path: Path, authority: Authority) -> None:
    empty = tmp_path / "empty.crt"
    empty.touch()
    locked = authority.certify("x", name="locked", password=b"a password")
    other = authority.certify("x", name="other")
    options = {
        "ssl_ca_certs=/nowhere/ca.crt": "ssl_ca_certs: /nowhere/ca.crt",
        f"ssl_ca_certs={empty}": f"ssl_ca_certs: {empty}",
        f"ssl_certfile={locked.certfile}&ssl_keyfile={locked.keyfile}": f"ssl_keyfile: {locked.certfile}",
        f"ssl_certfile={locked.certfile}&ssl_keyfile={other.keyfile}": "ssl_keyfile",
        f"ssl_certfile={locked.certfile}&ssl_keyfile=/nowhere": "ssl_keyfile: /nowhere",
    }
    for option, message in options.items():
        with pytest.raises(Refused) as refused:
            connect(f"rediss://r?{option}")
        assert message in str(refused.value)
