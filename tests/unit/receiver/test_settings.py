"""The receiver's settings: what is missing or senseless is refused by name, and secrets do not print."""

import base64

import pytest

from eventroute.errors import Refused
from eventroute_receiver.settings import ReceiverSettings

KEY = base64.b64encode(bytes(32)).decode()
LEAST = {"EVENTROUTE_RECEIVER_REDIS_URL": "redis://:hidden@r:6379/0", "EVENTROUTE_RECEIVER_TABLE_KEY": KEY}


def test_the_rest_has_defaults() -> None:
    settings = ReceiverSettings.load(LEAST)
    assert (settings.port, settings.probe_port, settings.max_queue_depth) == (8080, 8081, 100_000)
    assert (settings.read_deadline_s, settings.shutdown_grace_s) == (10, 20)


@pytest.mark.parametrize("missing", LEAST)
def test_what_has_no_default_is_asked_for_by_name(missing: str) -> None:
    with pytest.raises(Refused, match=missing):
        ReceiverSettings.load({name: value for name, value in LEAST.items() if name != missing})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "http"),
        ("MAX_QUEUE_DEPTH", "0"),
        ("READ_DEADLINE_S", "0"),
        ("READ_DEADLINE_S", "-1"),
        ("SHUTDOWN_GRACE_S", "0"),
        ("LOG_LEVEL", "CHATTY"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(field: str, value: str) -> None:
    with pytest.raises(Refused, match=f"EVENTROUTE_RECEIVER_{field}"):
        ReceiverSettings.load({**LEAST, f"EVENTROUTE_RECEIVER_{field}": value})


def test_neither_the_key_nor_the_password_prints() -> None:
    shown = repr(ReceiverSettings.load(LEAST)) + str(ReceiverSettings.load(LEAST))
    assert KEY not in shown
    assert "hidden" not in shown
