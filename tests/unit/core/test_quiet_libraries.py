"""What libraries log at the lowest level stays out of the log: requests whole, with prompts and tokens."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from eventroute.runtime import logging as programs_logging


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.mark.parametrize(
    "library", ["anthropic", "anthropic._base_client", "httpx", "httpcore.http11", "httpcore2.connection", "arq.worker"]
)
def test_a_program_that_logs_everything_logs_no_requests(library: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger(library.partition(".")[0]).setLevel(logging.NOTSET)
    programs_logging.setup("DEBUG", program="worker")
    logging.getLogger(library).debug("Request options: %s", {"authorization_token": "hush"})
    logging.getLogger("eventroute").debug("own")
    said = capsys.readouterr().err
    assert "own" in said
    assert "hush" not in said
