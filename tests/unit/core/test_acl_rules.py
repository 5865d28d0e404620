"""Access rules: every command of the programs' scripts is granted, and nothing is granted by the dozen."""

import re
from importlib.resources import files

import pytest

from eventroute.acl import rules

RUNTIME = files("eventroute.runtime")
FOLLOWING = [RUNTIME / "beat.lua", RUNTIME / "stats.lua"]
SCRIPTS = {
    "receiver": [*files("eventroute_receiver").iterdir(), *FOLLOWING],
    "worker": [*files("eventroute_worker").joinpath("lua").iterdir(), *FOLLOWING],
    "operator": [RUNTIME / "publish.lua"],
}


@pytest.mark.parametrize("user", SCRIPTS)
def test_every_command_of_a_programs_scripts_is_granted_to_it(user: str) -> None:
    texts = [script.read_text(encoding="utf-8") for script in SCRIPTS[user] if script.name.endswith(".lua")]
    called = set(re.findall(r"(?:redis\.p?call|value)\('([A-Z]+)'", "".join(texts)))
    granted = set(re.findall(r"\+(\w+)", rules()[user]))
    assert len(called) >= 4
    assert {command.lower() for command in called} <= granted


@pytest.mark.parametrize("user", rules())
def test_no_rule_grants_a_category_every_key_every_channel_or_the_server(user: str) -> None:
    rule = rules()[user]
    assert not re.search(r"@|allkeys|allchannels|allcommands|~\*|&\*|%RW", rule)
    forbidden = {
        "keys",
        "flushall",
        "flushdb",
        "config",
        "acl",
        "debug",
        "eval_ro",
        "client",
        "script",
        "dump",
        "migrate",
    }
    assert forbidden.isdisjoint(re.findall(r"\+([\w|]+)", rule))


@pytest.mark.parametrize("user", rules())
def test_a_rule_fits_one_line_of_an_acl_file(user: str) -> None:
    assert re.fullmatch(r"[!-~]+(?: [!-~]+)*", rules()[user])
