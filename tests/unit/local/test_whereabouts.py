"""Local runs are found by other commands of the same user, and stale files are not."""

import os
import stat
import subprocess
import sys
from pathlib import Path

from eventroute_cli.local.whereabouts import LocalRun, announced, local_runs, runtime_folder

RUN = LocalRun(command="dev", pid=os.getpid(), redis_url="redis://127.0.0.1:1/0", hooks_url="http://127.0.0.1:2/hooks")
DIE = """
import os, sys
from pathlib import Path
from eventroute_cli.local.whereabouts import LocalRun, announced
with announced(LocalRun(command="dev", pid=os.getpid(), redis_url="", hooks_url=""), Path(sys.argv[1])):
    os.kill(os.getpid(), 9)
"""


def test_a_run_is_found_while_it_runs_by_its_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "eventroute"
    with announced(RUN, folder):
        assert local_runs(folder) == [RUN]
        (file,) = folder.iterdir()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()
    assert local_runs(folder) == []


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "eventroute"
    subprocess.run([sys.executable, "-c", DIE, str(folder)], check=False)
    assert len(list(folder.iterdir())) == 1
    with announced(RUN, folder):
        assert local_runs(folder) == [RUN]
        assert len(list(folder.iterdir())) == 1


def test_what_is_no_announcement_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "eventroute"
    folder.mkdir(mode=0o700)
    (folder / "1.json").symlink_to("/etc/hostname")
    assert local_runs(folder) == []


def test_a_folder_that_others_may_write_to_is_neither_read_nor_used(tmp_path: Path) -> None:
    folder = tmp_path / "eventroute"
    folder.mkdir()
    folder.chmod(0o777)
    with announced(RUN, folder):
        assert list(folder.iterdir()) == []
        assert local_runs(folder) == []


def test_the_folder_is_the_users_own(tmp_path: Path) -> None:
    assert runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "eventroute"
    assert str(os.getuid()) in runtime_folder({}).name
