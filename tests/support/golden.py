"""Golden pairs of the compiler: `tests/golden/compile/<case>/input.yaml` and what became of it.

`PYTHONPATH=tests python -m support.golden` writes the expected files anew; read the difference before you commit it.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import yaml

from eventroute.compile import Side, Verdict, compile_routes
from eventroute.crd.manifest import parse_manifests
from eventroute.event_names import EventNames
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.route_table import ReceiverRoute
from eventroute.secret import Secret

CASES = Path(__file__).parent.parent / "golden" / "compile"


def cases() -> list[Path]:
    """List the cases."""
    return sorted(path.parent for path in CASES.glob("*/input.yaml"))


def outcome(case: Path) -> dict[str, Any]:
    """Compile a case, and write down all that came out; of secrets, only how many characters they have."""
    manifests = parse_manifests((case / "input.yaml").read_text())
    assert not manifests.problems, manifests.problems
    compiled = compile_routes(
        [found.route for found in manifests.routes],
        secrets={secret.key: secret.data for secret in manifests.secrets},
        config_maps={config_map.key: config_map.data for config_map in manifests.config_maps},
        complete=not (case / "incomplete").exists(),
        policy=Policy.parse(policy.read_text()) if (policy := case / "policy.yaml").exists() else None,
        events=EventNames.load(),
        outbound=OutboundRules.model_validate_json(rules.read_text())
        if (rules := case / "outbound.json").exists()
        else None,
        today=dt.date.fromisoformat(today.read_text().strip()) if (today := case / "today").exists() else None,
    )
    return {
        "verdicts": [_verdict(verdict) for verdict in compiled.verdicts],
        "receiver": {str(path): _receiver(route) for path, route in compiled.receiver.items()},
        "worker": {str(path): _plain(route) for path, route in compiled.worker.items()},
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    problems = [{key: _text(value) for key, value in problem._asdict().items()} for problem in verdict.problems]
    return {
        "path": str(verdict.path),
        "serves": [side.value for side in Side if verdict.serves(side)],
        "problems": problems,
    }


def _text(value: object) -> object:
    return str(value) if isinstance(value, str) else value


def _receiver(route: ReceiverRoute) -> Any:
    """Built-in rows are told by name, as they have tests of their own."""
    plain = _plain(route)
    return plain if route.scheme.name == "custom" else {**plain, "scheme": route.scheme.name}


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return f"a secret of {len(value.reveal())} characters"
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        fields = {name: _plain(inner) for name, inner in msgspec.structs.asdict(value).items()}
        return {"type": tag, **fields} if tag else fields
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return _text(value)


def expected(case: Path) -> Any:
    """Read what should come out."""
    return yaml.safe_load((case / "expected.yaml").read_text())


def write(case: Path) -> None:
    """Write what comes out as what should."""
    text = yaml.safe_dump(outcome(case), sort_keys=False, allow_unicode=True, width=120)
    (case / "expected.yaml").write_text(text)


if __name__ == "__main__":
    for each in cases():
        write(each)
