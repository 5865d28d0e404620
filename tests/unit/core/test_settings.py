"""Settings are read from the environment once, and every bad one is named."""

from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from eventroute.errors import Refused
from eventroute.runtime.settings import Settings


class Sample(Settings):
    prefix: ClassVar[str] = "SAMPLE_"
    port: int = Field(default=80, ge=1)
    token: SecretStr


def test_variables_become_typed_fields() -> None:
    settings = Sample.load({"SAMPLE_PORT": "8080", "SAMPLE_TOKEN": "t", "UNRELATED": "x"})
    assert (settings.port, settings.token.get_secret_value()) == (8080, "t")


def test_a_secret_can_come_from_a_file_and_wins_over_the_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file\n")
    settings = Sample.load({"SAMPLE_TOKEN_FILE": str(tmp_path / "token"), "SAMPLE_TOKEN": "from variable"})
    assert settings.token.get_secret_value() == "from file"
    assert settings.file("token") == tmp_path / "token"
    assert settings.file("port") is None
    assert Sample.load({"SAMPLE_TOKEN": "t"}).file("token") is None


def test_every_bad_variable_is_named_and_no_value_is_shown() -> None:
    with pytest.raises(Refused) as refusal:
        Sample.load({"SAMPLE_PORT": "hunter2"})
    assert "SAMPLE_PORT" in str(refusal.value)
    assert "SAMPLE_TOKEN" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="SAMPLE_TOKEN_FILE"):
        Sample.load({"SAMPLE_TOKEN_FILE": str(tmp_path / "absent")})


def test_secrets_do_not_print() -> None:
    assert "hunter2" not in repr(Sample.load({"SAMPLE_TOKEN": "hunter2"}))
