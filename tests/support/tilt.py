"""A Tiltfile without Tilt: a Starlark interpreter executes it, and stand-ins for Tilt's functions record the calls.

Each stand-in has the parameters of the function it stands for, as Tilt's API reference lists them, so that a misspelt
one fails here as it would there; a function that has no stand-in is an error. What must exist is checked by the tests.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import starlark

_SIGNATURES: Final = {
    "docker_build": (
        "ref context build_args dockerfile dockerfile_contents live_update match_in_env_vars ignore only entrypoint "
        "target ssh network secret extra_tag container_args cache_from pull platform extra_hosts"
    ),
    "k8s_yaml": "yaml allow_duplicates",
    "k8s_resource": (
        "workload new_name port_forwards extra_pod_selectors trigger_mode resource_deps objects auto_init "
        "pod_readiness links labels discovery_strategy"
    ),
    "local_resource": (
        "name cmd deps trigger_mode resource_deps ignore auto_init serve_cmd cmd_bat serve_cmd_bat allow_parallel "
        "links labels env serve_env readiness_probe dir serve_dir"
    ),
    "local": "command quiet command_bat echo_off env dir stdin",
    "port_forward": "local_port container_port name link_path host",
    "sync": "local_path remote_path",
    "run": "cmd trigger echo_off",
    "fall_back_on": "files",
    "watch_file": "file_path",
    "encode_yaml": "obj",
}


@dataclass(frozen=True)
class Call:
    """One call of a Tilt function, its arguments by name."""

    function: str
    arguments: dict[str, Any]


class RefusedByTiltfileError(Exception):
    """The Tiltfile called `fail`."""


@dataclass(frozen=True)
class Recording:
    """All that a Tiltfile asked of Tilt, in order."""

    calls: list[Call] = field(default_factory=list)

    def of(self, function: str) -> list[dict[str, Any]]:
        """Pick the calls of one function."""
        return [call.arguments for call in self.calls if call.function == function]


def execute(tiltfile: Path, *, context: str) -> Recording:
    """Execute a Tiltfile as if kubectl's context were `context`; raises what the Tiltfile does wrong."""
    recording = Recording()
    module = starlark.Module()
    module["TRIGGER_MODE_AUTO"], module["TRIGGER_MODE_MANUAL"] = "auto", "manual"
    for function, names in _SIGNATURES.items():
        module.add_callable(function, _stand_in(function, names.split(), recording))
    refusals: list[str] = []

    def fail(message: str) -> None:
        refusals.append(message)
        raise RefusedByTiltfileError(message)

    module.add_callable("fail", fail)
    module.add_callable("k8s_context", lambda: context)
    syntax = starlark.parse(str(tiltfile), tiltfile.read_text(), dialect=starlark.Dialect.extended())
    try:
        starlark.eval(module, syntax, starlark.Globals.standard())
    except starlark.StarlarkError as error:
        if refusals:  # the interpreter wraps what a stand-in raises
            raise RefusedByTiltfileError(refusals[0]) from error
        raise
    return recording


def _stand_in(function: str, names: list[str], recording: Recording) -> Callable[..., dict[str, Any]]:
    optional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, optional, default=None) for name in names])

    def record(*args: Any, **kwargs: Any) -> dict[str, Any]:
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        recording.calls.append(Call(function, arguments))
        return {"function": function, **arguments}

    return record
