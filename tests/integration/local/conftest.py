"""What tests of the local mode need of the machine."""

import pytest

from eventroute_cli.local.processes import free_port


@pytest.fixture
def unused_port() -> int:
    return free_port()
