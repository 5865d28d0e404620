"""At DEBUG a program's log is ours: what libraries say of each request they make stays out."""

import subprocess
import sys

import pytest

LOGS = """
import logging
from eventroute.runtime import logging as ours
ours.setup("DEBUG", program="operator")
logging.getLogger("{name}").debug("chatter")
logging.getLogger("{name}").warning("trouble")
logging.getLogger("eventroute").debug("ours")
"""


@pytest.mark.parametrize("name", ["httpcore.http11", "httpcore2.connection", "httpx", "uvicorn.access", "arq.worker"])
def test_a_library_says_nothing_below_a_warning(name: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LOGS.format(name=name)], capture_output=True, text=True, check=True, timeout=30
    )
    said = ended.stdout + ended.stderr
    assert "trouble" in said
    assert "ours" in said
    assert "chatter" not in said
