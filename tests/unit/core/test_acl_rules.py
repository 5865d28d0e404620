"""Access rules: every command of the programs' scripts is granted, and nothing is granted by the dozen."""

import re
from importlib.resources import files

import pytest

from eventroute.acl import rules

LUA = files("eventroute.queue").joinpath("lua")
RECEIVERS, PEOPLES = {"admit", "load"}, {"discard", "glance", "load", "replay"}
NAMES = {script.name.removesuffix(".lua") for script in LUA.iterdir() if script.name.endswith(".lua")} - {"lib"}
SCRIPTS = {
    "receiver": RECEIVERS,
    "worker": NAMES - {"admit", "discard", "glance", "replay"},
    "desk": PEOPLES,
}
_BODY = r"^local function (\w+)(.*?^end|[^\n]*end)$"
FUNCTIONS = dict(re.findall(_BODY, LUA.joinpath("lib.lua").read_text(), re.DOTALL | re.MULTILINE))
    re.findall(
        r"^local function (\w+)(.*?^end|[^\n]*end)$", LUA.joinpath("lib.lua").read_text(), re.DOTALL | re.MULTILINE
    )
)


def source(name: str) -> str:
    """A script with those functions of the library that it comes to."""
    text = LUA.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    called: set[str] = set()
    while missing := {each for each in FUNCTIONS if re.search(rf"\b{each}\(", text)} - called:
        called |= missing
        text += "".join(FUNCTIONS[each] for each in missing)
    return text


@pytest.mark.parametrize("user", SCRIPTS)
def test_every_command_of_a_programs_scripts_is_granted_to_it(user: str) -> None:
    called = set(re.findall(r"redis\.p?call\('([A-Z]+)'", "".join(map(source, SCRIPTS[user]))))
    granted = set(re.findall(r"\+(\w+)", rules()[user]))
    assert len(called) >= 10
    assert {command.lower() for command in called} - {"time"} <= granted


def test_every_script_belongs_to_somebody() -> None:
    assert set.union(*SCRIPTS.values()) == NAMES


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
