"""What this machine needs before it can be a cluster: root, Go, Debian's packages, and the binaries of `build.sh`.

Run as a program by `make e2e` before pytest, so that whoever waits for a first build sees how far it is.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from e2e.support.shell import CACHE, ROOT, Failed, Unusable, run, say, stream

BIN: Final = Path(os.environ.get("KUBE_BIN", CACHE / "bin"))
SCRIPTS: Final = ROOT / "tests/e2e/cluster"

_DEBIAN: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "nft": "nftables",
    "ip": "iproute2",
    "openssl": "openssl",
    "curl": "curl",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
}
"""Program → package."""

_INSTALL_S: Final = 600.0
_BUILD_S: Final = 4500.0


def prepare() -> None:
    """Install and build what is missing; raises `Unusable` where that can't be, `Failed` where it went wrong."""
    if os.geteuid() != 0:
        raise Unusable("CLUSTER=host runs a container runtime on this machine, which takes root; or use CLUSTER=kind")
    if not shutil.which("go"):
        raise Unusable(
            "CLUSTER=host builds Kubernetes from its source, which takes Go 1.24 or newer: https://go.dev/dl"
        )
    _install_packages()
    stream(SCRIPTS / "build.sh", timeout_s=_BUILD_S, environ={"KUBE_BIN": str(BIN)})


def _install_packages() -> None:
    missing = sorted(package for program, package in _DEBIAN.items() if not shutil.which(program))
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Unusable(f"not installed: {' '.join(missing)} (these are Debian's names)")
    say(f"installing {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", timeout_s=_INSTALL_S, environ=quiet)
    run("apt-get", "install", "-qq", "-y", "--no-install-recommends", *missing, timeout_s=_INSTALL_S, environ=quiet)


if __name__ == "__main__":
    try:
        prepare()
    except (Unusable, Failed) as error:
        sys.exit(f"make e2e: {error}")
