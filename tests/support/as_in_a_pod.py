"""`python as_in_a_pod.py`: look names up as a pod does, by the system's resolver, with a name server of one's own.

Runs in namespaces of its own, whose /etc/resolv.conf names 127.0.0.1 and a search list (`look_up_as_in_a_pod`).
Reads rules, answers and questions as JSON from its input; writes what came of each question, and what was asked of the
name server for it.
"""

import asyncio
import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from eventroute.outbound import Blocked, OutboundRules
from eventroute_worker.outbound import NoAnswer, Outbound
from support.name_server import name_server

RESOLV_CONF: Final = """\
nameserver 127.0.0.1
search er.svc.cluster.local svc.cluster.local cluster.local
options ndots:5 timeout:1 attempts:1
"""
_SIOCSIFFLAGS: Final = 0x8914
_UP: Final = 1


class CannotError(Exception):
    """This machine lets nobody have namespaces."""


def look_up_as_in_a_pod(
    folder: Path, *, rules: Mapping[str, object], answers: Mapping[str, Sequence[Sequence[str]]], ask: Sequence[str]
) -> list[tuple[str, list[str]]]:
    """Ask for each name in turn; raises `CannotError`.

    returns  addresses or the refusal, as text, and the names that the name server was asked for
    """
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rmn", "true"], check=False, capture_output=True).returncode:
        raise CannotError("needs unshare, and a kernel that allows it")
    (folder / "resolv.conf").write_text(RESOLV_CONF, encoding="utf-8")
    steps = 'mount --bind "$1" /etc/resolv.conf && exec "$2" -m support.as_in_a_pod'
    done = subprocess.run(
        [unshare, "-rmn", "sh", "-c", steps, "sh", str(folder / "resolv.conf"), sys.executable],
        input=json.dumps({"rules": rules, "answers": answers, "ask": ask}),
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return [(told, asked) for told, asked in json.loads(done.stdout)]


async def _answer(said: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    found = []
    rules = OutboundRules.model_validate(said["rules"])
    async with name_server(said["answers"], port=53) as server, Outbound(rules) as outbound:
        for name in said["ask"]:
            before = len(server.asked)
            try:
                told = " ".join(sorted(await outbound.checked_addresses(name, rules.ports[0])))
            except (Blocked, NoAnswer) as error:
                told = str(error)
            found.append((told, server.asked[before:]))
    return found


def _loopback_up() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _UP))


if __name__ == "__main__":
    _loopback_up()
    sys.stdout.write(json.dumps(asyncio.run(_answer(json.load(sys.stdin)))))
