"""Kinds of other projects that the chart makes objects of: their definitions, out of the projects' own Go modules."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MODULES: Final = Path(__file__).parents[1] / "e2e/cluster/go"
_DOWNLOAD_S: Final = 300.0  # KEDA's is 10 MiB; a second when it is there

_DEFINITIONS: Final = {
    ("keda", "github.com/kedacore/keda/v2"): ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    ("definitions", "github.com/prometheus-operator/prometheus-operator"): [
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
    ],
    ("definitions", "sigs.k8s.io/gateway-api"): ["config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"],
}
"""Our folder that names the version, and the module → files in the module."""


def definitions() -> Iterator[Path]:
    """Find the files, which are downloaded for the first time; Go holds them against its go.sum."""
    for (folder, module), files in _DEFINITIONS.items():
        done = subprocess.run(
            ["/usr/bin/env", "go", "mod", "download", "-json", module],
            cwd=_MODULES / folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=_DOWNLOAD_S,
        )
        assert done.returncode == 0, f"{module}: {done.stdout}{done.stderr}"
        yield from (Path(json.loads(done.stdout)["Dir"], file) for file in files)
