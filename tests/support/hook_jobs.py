"""Jobs on an API server that has no controllers and no nodes: run here, as what their manifests say they are.

The Job's own service account asks, so that its permissions are those of the chart, and its own variables are all that
the program is told; only the image is not looked at.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from support.api_server import ApiServer

_LOOK_S: Final = 0.3
_RUN_S: Final = 120
_THEN: Final = "2026-01-01T00:00:00Z"


@contextlib.contextmanager
def running_jobs(api: ApiServer) -> Iterator[None]:
    """Run every Job that is made while the block runs, one after the other, until it has succeeded."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(_LOOK_S):
            found = api.try_kubectl("get", "jobs", "-A", "-o", "json")
            for job in json.loads(found.stdout)["items"] if found.returncode == 0 else []:
                if "deletionTimestamp" not in job["metadata"] and not job.get("status", {}).get("succeeded"):
                    _finish(api, job)

    thread = threading.Thread(target=work, name="jobs")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def run_job(api: ApiServer, job: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    """Run a Job's container as a process, with the Job's service account."""
    namespace, spec = job["metadata"]["namespace"], job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    token = api.kubectl("create", "token", spec["serviceAccountName"], "-n", namespace).strip()
    config = yaml.safe_load(api.kubeconfig.read_text(encoding="utf-8"))
    config["users"][0]["user"] = {"token": token}
    # What has no value is a reference to the namespace.
    own = {entry["name"]: entry.get("value", namespace) for entry in container["env"]}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kubeconfig")
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "eventroute_operator", *container["args"]],
            env={**os.environ, **own, "KUBECONFIG": str(file)},
            capture_output=True,
            text=True,
            check=False,
            timeout=_RUN_S,
        )


def _finish(api: ApiServer, job: dict[str, Any]) -> None:
    name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
    if run_job(api, job).returncode:
        return  # its permissions may come a moment later, and then it is run again
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": _THEN} for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"succeeded": 1, "startTime": _THEN, "completionTime": _THEN, "conditions": conditions}
    patch = json.dumps({"status": {**status, "uncountedTerminatedPods": {}}})
    api.try_kubectl("patch", "job", name, "-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
