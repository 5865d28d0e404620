"""`k8s/make_secrets.py`: the Secrets of an installation without Helm."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from eventroute import acl
from eventroute.sealed import SealKey

PROGRAM = Path(__file__).parents[3] / "k8s/make_secrets.py"


def made(*arguments: str) -> dict[str, dict[str, str]]:
    done = subprocess.run([sys.executable, str(PROGRAM), *arguments], capture_output=True, text=True, check=True)
    return {item["metadata"]["name"]: item["stringData"] for item in json.loads(done.stdout)["items"]}


def test_each_plane_has_a_key_of_its_own_that_seals() -> None:
    keys = made()["eventroute-table-keys"]
    receiver, worker = (SealKey.from_text(keys[plane]) for plane in ("receiver", "worker"))
    assert receiver.open(receiver.seal(b"route", context="c"), context="c") == b"route"
    assert keys["receiver"] != keys["worker"]
    assert worker is not receiver


def test_every_user_has_a_password_which_its_url_and_the_acl_know() -> None:
    valkey = made()["eventroute-valkey"]
    users = dict(re.findall(r"^user (\S+) on #([0-9a-f]{64}) ", valkey["users.acl"], re.MULTILINE))
    assert users.keys() == acl.rules().keys()
    for user, digest in users.items():
        password = valkey[f"{user}-password"]
        assert hashlib.sha256(password.encode()).hexdigest() == digest
        assert valkey[f"{user}-url"] == f"redis://{user}:{password}@eventroute-valkey.eventroute.svc:6379/0"


def test_no_two_runs_make_the_same_keys() -> None:
    assert made() != made()


@pytest.mark.parametrize("given", [True, False])
def test_claudes_key_comes_from_a_file_and_is_the_simulators_without_one(tmp_path: Path, *, given: bool) -> None:
    file = tmp_path / "key"
    file.write_text("sk-ant-real\n")
    found = made(*([str(file)] if given else []))["eventroute-anthropic"]
    assert found == {"api-key": "sk-ant-real" if given else "sk-ant-simulated"}


def test_a_key_that_is_not_there_is_told_in_a_line(tmp_path: Path) -> None:
    empty = tmp_path / "key"
    empty.write_text("\n")
    for path, why in [(empty, f"{empty} is empty"), (tmp_path / "none", "cannot read the key for Claude")]:
        done = subprocess.run([sys.executable, str(PROGRAM), str(path)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
        assert len(done.stderr.splitlines()) == 1
