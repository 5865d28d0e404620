"""A Valkey whose users have the rules of an installation, seen by the test and from the desk."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from eventroute.queue import Desk
from eventroute.runtime.redis import connect
from support.acl_users import AclUsers, acl_users
from support.queue import GROUP


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclUsers]:
    with acl_users(tmp_path_factory.mktemp("acl")) as users:
        yield users


@pytest.fixture
async def redis(server: AclUsers) -> AsyncIterator[Redis]:
    """The server, emptied, by a user who may do everything; afterwards nothing may have been refused."""
    async with connect(server.admin) as client:
        await client.flushall()
        await client.execute_command("ACL LOG", "RESET")
        yield client
        assert await client.execute_command("ACL LOG") == []


@pytest.fixture
async def desk(server: AclUsers, redis: Redis) -> AsyncIterator[Desk]:
    """The desk under its own user."""
    async with connect(server.url("desk")) as client:
        yield Desk({GROUP: client})
