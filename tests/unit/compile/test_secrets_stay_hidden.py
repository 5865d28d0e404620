"""Neither a verdict nor a table entry shows a secret, whatever is wrong with it."""

import pytest

from eventroute.compile import compile_routes
from eventroute.crd.objects import ObjectKey
from eventroute.secret import Secret
from support.routes import event_route

CANARY = "c4n4ry-5b1f0c8de2a9"


@pytest.mark.parametrize("value", [CANARY, f"{CANARY}\n", CANARY[:8], f"whsec_{CANARY}", f"whpk_{CANARY}"])
@pytest.mark.parametrize("provider", ["github", "standard-webhooks", "discord", "sendgrid", "alertmanager-basic"])
def test_a_secret_does_not_print(provider: str, value: str) -> None:
    route = event_route(provider=provider, model={"apiKeyRef": {"name": "hook", "key": "secret"}})
    secrets = {ObjectKey("team-a", "hook"): {"secret": Secret(value.encode())}}
    compiled = compile_routes([route], secrets=secrets, config_maps={})
    assert CANARY[:8] not in repr(compiled)


@pytest.mark.parametrize(
    "value", [CANARY, f"https://x:{CANARY}@hooks.slack.com/", f"http://localhost:1@{CANARY}/{CANARY}"]
)
@pytest.mark.parametrize("by", ["urlRef", "tokenRef"])
def test_what_speaks_to_slack_does_not_print(by: str, value: str) -> None:
    route = event_route(provider="slack", sinks=[{"slack": {by: {"name": "hook", "key": "secret"}}}])
    secrets = {ObjectKey("team-a", "hook"): {"secret": Secret(value.encode())}}
    compiled = compile_routes([route], secrets=secrets, config_maps={})
    assert compiled.verdicts[0].problems
    assert CANARY[:8] not in repr(compiled)


@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f"postgresql://{CANARY}:{CANARY}@db.example.com/{CANARY}?options={CANARY}",
        f"postgresql://u:{CANARY}@db.example.com/{CANARY}?{CANARY}=1",
        f"postgresql://u:{CANARY}@10.0.0.1/{CANARY}?sslmode={CANARY}",
        f"postgresql://u:{CANARY}@10.0.0.1:5432/{CANARY}",
        f"postgresql://u:%zz{CANARY}@db.example.com/x",
    ],
)
def test_the_url_of_a_database_does_not_print(value: str) -> None:
    route = event_route(provider="slack", sinks=[{"postgres": {"urlRef": {"name": "hook", "key": "secret"}}}])
    secrets = {ObjectKey("team-a", "hook"): {"secret": Secret(value.encode())}}
    compiled = compile_routes([route], secrets=secrets, config_maps={})
    assert compiled.verdicts[0].problems
    assert CANARY[:8] not in repr(compiled)


@pytest.mark.parametrize(
    "value", [CANARY, f"ghp_{CANARY}\n", f"ghs_{CANARY}", f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n"]
)
@pytest.mark.parametrize("by", ["tokenRef", "app"])
def test_what_speaks_to_github_does_not_print(by: str, value: str) -> None:
    ref = {"name": "hook", "key": "secret"}
    own = {"app": {"id": 1, "privateKeyRef": ref}} if by == "app" else {by: ref}
    route = event_route(provider="github", sinks=[{"github": {**own, "comment": {}}}])
    secrets = {ObjectKey("team-a", "hook"): {"secret": Secret(value.encode())}}
    compiled = compile_routes([route], secrets=secrets, config_maps={})
    assert compiled.verdicts[0].problems
    assert CANARY[:8] not in repr(compiled)
