"""`python3 k8s/make_secrets.py [CLAUDE_KEY_FILE] | kubectl create -f -`: the Secrets that `k8s/base` names.

Needs Python alone. For `create`, not `apply`: each run makes other keys, which would lock programs out of what the old
ones have sealed. Without a file, the key for Claude is the simulator's, which is public.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Final

NAMESPACE: Final = "eventroute"
ACL: Final = Path(__file__).parents[1] / "charts/eventroute/files/users.acl"


def valkey_secret(acl: str) -> dict[str, str]:
    """Make a password for each user, and write the ACL and the URLs with them."""
    passwords = {user: secrets.token_hex(24) for user in re.findall(r"<(\w+)>", acl)}
    for user, password in passwords.items():
        acl = acl.replace(f"<{user}>", hashlib.sha256(password.encode()).hexdigest())
    host = f"eventroute-valkey.{NAMESPACE}.svc"
    urls = {f"{user}-url": f"redis://{user}:{password}@{host}:6379/0" for user, password in passwords.items()}
    return {**urls, **{f"{user}-password": password for user, password in passwords.items()}, "users.acl": acl}


def table_keys() -> dict[str, str]:
    """Make the keys of the two route tables."""
    return {plane: base64.b64encode(os.urandom(32)).decode() for plane in ("receiver", "worker")}


def _refused(why: str) -> int:
    print(f"make_secrets.py: {why}", file=sys.stderr)
    return 1


def main(arguments: list[str]) -> int:
    """Print a List of Secrets; returns the exit code, 1 when the key for Claude is not there."""
    try:
        claude_key = Path(arguments[0]).read_text(encoding="utf-8").strip() if arguments else "sk-ant-simulated"
    except (OSError, UnicodeDecodeError) as error:
        return _refused(f"cannot read the key for Claude: {error}")
    if not claude_key:
        return _refused(f"{arguments[0]} is empty; it should hold the key for Claude")
    data = {
        "eventroute-table-keys": table_keys(),
        "eventroute-valkey": valkey_secret(ACL.read_text(encoding="utf-8")),
        "eventroute-anthropic": {"api-key": claude_key},
    }
    items = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": NAMESPACE}, "stringData": text}
        for name, text in data.items()
    ]
    print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
