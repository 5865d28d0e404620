"""The quickstart is served as it is, and whoever lints it hears that its secret is public."""

from pathlib import Path

from eventroute.compile import Reason, Severity, compile_routes
from eventroute.crd.manifest import parse_manifests
from eventroute.event_names import EventNames

QUICKSTART = Path(__file__).parents[3] / "k8s" / "quickstart.yaml"


def test_the_secret_of_the_quickstart_is_known_to_be_public() -> None:
    found = parse_manifests(QUICKSTART.read_text())
    secrets = {secret.key: secret.data for secret in found.secrets}
    routes = [each.route for each in found.routes]
    compiled = compile_routes(routes, secrets=secrets, config_maps={}, events=EventNames.load())
    (verdict,) = compiled.verdicts
    assert verdict.is_served
    told = [(problem.severity, problem.reason) for problem in verdict.problems]
    assert told == [(Severity.WARNING, Reason.SECRET_PUBLICLY_KNOWN)]
