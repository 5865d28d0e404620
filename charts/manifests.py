"""`python charts/manifests.py --write | --check`: the chart as plain manifests, for `kubectl apply -k`.

`k8s/base` is what the chart renders with the values below, `k8s/overlays/*` the differences that other values make. So
there is one source, the chart, and the overlays cannot fall behind it. Needs Helm: `$HELM`, or `helm` on PATH.

Secrets are never rendered: `k8s/make_secrets.py` makes them, once.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parent / "eventroute"
K8S: Final = CHART.parents[1] / "k8s"
NAMESPACE: Final = "eventroute"

BASE: Final[Mapping[str, Any]] = {
    "tableKeys": {"existingSecret": "eventroute-table-keys"},
    "valkey": {"existingSecret": "eventroute-valkey"},
    "worker": {"anthropic": {"existingSecret": "eventroute-anthropic"}},
    "crds": {"enabled": False},
    "tests": {"enabled": False},
}
OVERLAYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "trial": {
        "simulator": {"enabled": True},
        "jaeger": {"enabled": True},
        "valkey": {"persistence": {"enabled": False}},
    },
    "external-redis": {"valkey": {"enabled": False}, "redis": {"urlSecret": {"name": "eventroute-redis"}}},
    "keda": {"autoscaling": {"mode": "keda"}},
}

_HEADER: Final = (
    "# Rendered from charts/eventroute by charts/manifests.py: change it there, and run `make manifests`.\n"
)
_NAMESPACE_FILE: Final = f"""\
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


@dataclass(frozen=True)
class Manifest:
    """One object as the chart writes it, comments included."""

    text: str
    value: Mapping[str, Any]

    @property
    def identity(self) -> tuple[str, str, str]:
        """Kind, namespace and name."""
        metadata = self.value["metadata"]
        return self.value["kind"], metadata.get("namespace", ""), metadata["name"]

    @property
    def component(self) -> str:
        """The file that it goes to."""
        component: str = self.value["metadata"]["labels"]["app.kubernetes.io/component"]
        return component


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Put values over others, as Helm does."""
    both = {
        key: merged(lower[key], upper[key]) if isinstance(upper[key], Mapping) else upper[key]
        for key in lower.keys() & upper.keys()
    }
    return {**lower, **upper, **both}


def render(values: Mapping[str, Any]) -> list[Manifest]:
    """Render the chart; raises `CalledProcessError` when Helm refuses the values."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(dict(values), file)
        file.flush()
        helm = os.environ.get("HELM", "helm")
        command = [helm, "template", "eventroute", str(CHART), "--namespace", NAMESPACE, "--values", file.name]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    documents = [_without_source(text) for text in output.split("---\n")]
    return [Manifest(text, yaml.safe_load(text)) for text in documents if yaml.safe_load(text)]


def _without_source(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("# Source:")]
    return "\n".join(lines).replace("managed-by: Helm", "managed-by: kustomize") + "\n"


def build_tree() -> dict[Path, str]:
    """Write every file below `k8s` that is rendered."""
    base = render(BASE)
    tree = {Path("base/namespace.yaml"): _HEADER + _NAMESPACE_FILE}
    tree |= {Path("base") / name: text for name, text in _files(base).items()}
    resources = sorted(path.name for path in tree)
    tree[Path("base/kustomization.yaml")] = _kustomization({"resources": resources})
    for name, values in OVERLAYS.items():
        folder = Path("overlays") / name
        tree |= {folder / file: text for file, text in _overlay(base, render(merged(BASE, values))).items()}
    return tree


def _files(manifests: list[Manifest]) -> dict[str, str]:
    files: dict[str, list[str]] = {}
    for manifest in manifests:
        files.setdefault(f"{manifest.component}.yaml", []).append(manifest.text)
    return {name: _HEADER + "---\n".join(texts) for name, texts in files.items()}


def _overlay(base: list[Manifest], wanted: list[Manifest]) -> dict[str, str]:
    before = {manifest.identity: manifest for manifest in base}
    after = {manifest.identity: manifest for manifest in wanted}
    files = _files([manifest for identity, manifest in after.items() if identity not in before])
    patches = [_removal(manifest) for identity, manifest in before.items() if identity not in after]
    patches += [
        _change(identity, operations)
        for identity in before.keys() & after.keys()
        if (operations := list(_difference(before[identity].value, after[identity].value, "")))
    ]
    patches.sort(key=lambda patch: (patch["target"]["kind"], patch["target"]["name"]))
    kustomization = {"resources": ["../../base", *sorted(files)], "patches": patches}
    return {**files, "kustomization.yaml": _kustomization(kustomization)}


def _removal(manifest: Manifest) -> dict[str, Any]:
    kind, _, name = manifest.identity
    patch = {"$patch": "delete", "apiVersion": manifest.value["apiVersion"], "kind": kind, "metadata": {"name": name}}
    return {"target": {"kind": kind, "name": name}, "patch": yaml.safe_dump(patch, sort_keys=False)}


def _change(identity: tuple[str, str, str], operations: list[dict[str, Any]]) -> dict[str, Any]:
    kind, _, name = identity
    return {"target": {"kind": kind, "name": name}, "patch": yaml.safe_dump(operations, sort_keys=False, width=120)}


def _difference(before: Any, after: Any, path: str) -> Iterator[dict[str, Any]]:
    """List the JSON patch operations (RFC 6902) that make one value of the other; lists of other lengths as a whole."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys()):
            below = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                yield {"op": "remove", "path": below}
            elif key not in before:
                yield {"op": "add", "path": below, "value": after[key]}
            else:
                yield from _difference(before[key], after[key], below)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _difference(old, new, f"{path}/{index}")
    else:
        yield {"op": "replace", "path": path, "value": after}


class _Readable(yaml.SafeDumper):
    """Writes texts of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Readable.add_representer(str, _text)


def _kustomization(content: Mapping[str, Any]) -> str:
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": NAMESPACE}
    return _HEADER + yaml.dump({**head, **content}, Dumper=_Readable, sort_keys=False, width=120)


def main(arguments: list[str]) -> int:
    """Write the tree, or tell whether it is what would be written; returns the exit code."""
    if arguments not in (["--write"], ["--check"]):
        print("usage: python charts/manifests.py --write | --check", file=sys.stderr)
        return 2
    wanted = build_tree()
    present = {path.relative_to(K8S) for part in ("base", "overlays") for path in (K8S / part).rglob("*.yaml")}
    stale = [path for path, text in wanted.items() if path not in present or (K8S / path).read_text() != text]
    surplus = present - wanted.keys()
    if arguments == ["--write"]:
        for path in stale:
            (K8S / path).parent.mkdir(parents=True, exist_ok=True)
            (K8S / path).write_text(wanted[path])
        for path in surplus:
            (K8S / path).unlink()
        return 0
    for path in [*stale, *sorted(surplus)]:
        print(f"k8s/{path} is not what the chart renders; run `make manifests`", file=sys.stderr)
    return 1 if stale or surplus else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
