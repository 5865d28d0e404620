"""A Valkey whose users have the rules of the programs, as an installation's ACL file gives them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from eventroute.acl import rules
from eventroute_cli.local.processes import Processes, free_port
from eventroute_cli.local.redis_server import server_command

PASSWORD = "p:ss/w@rd?#"
_IN_URLS = "p%3Ass%2Fw%40rd%3F%23"


class AclUsers:
    """The server's addresses, one per user."""

    def __init__(self, port: int) -> None:
        self._port = port

    @property
    def admin(self) -> str:
        """URL of the test itself, which may do everything."""
        return f"redis://127.0.0.1:{self._port}/0"

    def url(self, user: str) -> str:
        """URL that signs in as a program."""
        return f"redis://{user}:{_IN_URLS}@127.0.0.1:{self._port}/0"


@contextlib.contextmanager
def acl_users(folder: Path) -> Iterator[AclUsers]:
    """Run the server while the block runs."""
    lines = [f"user {user} on >{PASSWORD} {rule}" for user, rule in rules().items()]
    file = folder / "users.acl"
    file.write_text("\n".join(["user default on nopass ~* &* +@all", *lines, ""]), encoding="utf-8")
    port = free_port()
    with Processes(folder) as processes:
        processes.start("valkey", [*server_command(port, folder), "--aclfile", str(file)], os.environ)
        processes.wait_listening("valkey", port, timeout_s=10)
        yield AclUsers(port)
