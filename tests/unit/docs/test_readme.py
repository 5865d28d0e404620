"""What the README shows works: its route compiles, its commands and options exist, its files are there."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from eventroute.compile import compile_routes
from eventroute.crd.manifest import parse_manifests
from eventroute.crd.objects import ObjectKey
from eventroute.event_names import EventNames
from eventroute.secret import Secret
from eventroute_cli.__main__ import app

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCES = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
SHELL = [line for kind, text in FENCES if kind == "sh" for line in text.splitlines()]
COMMANDS = [shlex.split(line, comments=True) for line in SHELL if line.startswith("eventroute ")]
DOCUMENTS = [
    str(path.relative_to(ROOT))
    for folder in ("", "charts", "k8s", "operator", "services", "tests")
    for path in (ROOT / folder).glob("**/*.md" if folder else "*.md")
]
TARGETS = [shlex.split(line, comments=True)[1] for line in SHELL if line.startswith("make ")]


def test_the_route_of_the_readme_is_served() -> None:
    (manifest,) = [text for kind, text in FENCES if kind == "yaml"]
    found = parse_manifests(manifest)
    secret = Secret(b"whsec_a-secret-that-nobody-else-knows")
    secrets = {ObjectKey("billing", "stripe-webhook"): {"current": secret, "previous": secret}}
    routes = [each.route for each in found.routes]
    compiled = compile_routes(routes, secrets=secrets, config_maps={}, events=EventNames.load())
    assert (found.problems, compiled.verdicts[0].problems) == ((), ())
    assert list(compiled.receiver) == ["billing/payments"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_commands_and_options_of_the_readme_exist(words: list[str]) -> None:
    group = get_command(app)
    assert hasattr(group, "commands")
    command = group.commands[words[1]]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words[2:] if word.startswith("-")} <= options


@pytest.mark.parametrize("name", re.findall(r"`eventroute (\w+)|, `(\w+)` \|", README))
def test_commands_of_the_table_exist(name: tuple[str, str]) -> None:
    group = get_command(app)
    assert hasattr(group, "commands")
    assert (name[0] or name[1]) in group.commands


@pytest.mark.parametrize("target", TARGETS)
def test_make_targets_of_the_readme_exist(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_linked_and_named_files_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert ((ROOT / document).parent / link).exists(), link


def test_every_redis_key_is_in_the_tables() -> None:
    core = ROOT / "services/core/src/eventroute"
    others = re.findall(r'f"\{_HOME\}([^"]+)"', (core / "keys.py").read_text(encoding="utf-8"))
    queues = re.findall(r'f"\{self\.prefix\}([^"]+)"', (core / "queue/keys.py").read_text(encoding="utf-8"))
    names = {re.sub(r":?\{.*", "", name) for name in (*others, *queues)} - {""} | {"bodies", "answers", "records"}
    assert len(names) > 20
    tables = (ROOT / "services/README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if f"`{name}`" not in tables and f"`{name}:*`" not in tables] == []


def test_modules_named_in_the_flow_exist() -> None:
    text = (ROOT / "services/README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:core|receiver|worker)/[\w/]+\.(?:py|lua))`", text))
    assert len(named) > 8
    for name in named:
        member, _, rest = name.partition("/")
        package = "eventroute" if member == "core" else f"eventroute_{member}"
        assert (ROOT / "services" / member / "src" / package / rest).exists(), name
