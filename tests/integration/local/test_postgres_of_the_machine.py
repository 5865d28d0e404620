"""The demo's PostgreSQL is this machine's, and gone afterwards; one that is missing or fails is as none."""

import os
from pathlib import Path

import psycopg
import pytest

from eventroute_cli.local.postgres import read_rows, running_postgres
from support.postgres import open_folder, programs

pytestmark = pytest.mark.real


async def test_it_has_the_table_of_answers_and_is_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_folder() as folder:
        monkeypatch.setenv("PATH", f"{programs(folder)}:{os.environ['PATH']}")
        async with running_postgres() as url:
            assert read_rows(url) == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


async def test_a_machine_without_one_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with running_postgres() as url:
        assert url == ""


@pytest.mark.parametrize("broken", ["initdb", "postgres"])
async def test_one_that_does_not_start_is_as_none(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    with open_folder() as folder:
        for name in ("initdb", "postgres"):
            (folder / name).write_text(f"#!/bin/sh\nexit {int(name == broken)}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        async with running_postgres() as url:
            assert url == ""
