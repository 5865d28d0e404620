"""An authority of the tests' own, and senders that trust it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from support.certificates import Authority
from support.outbound import NewOutbound, maker


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("outbound"))


@pytest.fixture
async def new_outbound(authority: Authority) -> AsyncIterator[NewOutbound]:
    async with AsyncExitStack() as stack:
        yield maker(stack, authority)
