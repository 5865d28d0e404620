"""Settings come from the environment once, in `__main__`, into one frozen class per program.

A field `redis_url` of a class with prefix `EVENTROUTE_WORKER_` is read from `EVENTROUTE_WORKER_REDIS_URL`, or, for what
should not stand in an environment, from the file named by `EVENTROUTE_WORKER_REDIS_URL_FILE`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from eventroute.errors import Refused


class Settings(BaseModel):
    """Base of each program's settings; tests build them directly and never touch the environment."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    prefix: ClassVar[str]

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """Lowest level that is logged; the `log` sink's answers always are."""

    _files: dict[str, Path] = PrivateAttr(default_factory=dict)

    def file(self, field: str) -> Path | None:
        """Name the file that a field was read from, for what is to follow its changes; None = no file."""
        return self._files.get(field)

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Self:
        """Read the fields from environment variables and the files they name; raises `Refused` naming each bad one."""
        found = {name: value for name in cls.model_fields if (value := cls._find(name, environ)) is not None}
        try:
            settings = cls.model_validate(found)
        except ValidationError as error:
            problems = "; ".join(f"{cls.variable(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
            raise Refused(f"settings: {problems}") from error
        settings._files.update(  # noqa: SLF001 - this very class
            {name: Path(file) for name in found if (file := environ.get(f"{cls.variable(name)}_FILE")) is not None}
        )
        return settings

    @classmethod
    def variable(cls, field: str) -> str:
        """Name the environment variable of a field."""
        return cls.prefix + field.upper()

    @classmethod
    def _find(cls, field: str, environ: Mapping[str, str]) -> str | None:
        variable = cls.variable(field)
        if (file := environ.get(f"{variable}_FILE")) is None:
            return environ.get(variable)
        try:
            return Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"settings: {variable}_FILE: cannot read {file}: {error}") from error
