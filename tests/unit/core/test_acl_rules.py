"""Access rules: every command of the programs' scripts is granted, and nothing is granted by the dozen."""

import re
from importlib.resources import files

import pytest

from eventroute.acl import rules

LUA = files("eventroute.queue").joinpath("lua")
RUNTIME = files("eventroute.runtime")
FOLLOWING = [RUNTIME / "beat.lua", RUNTIME / "stats.lua"]
NAMES = {script.name.removesuffix(".lua") for script in LUA.iterdir() if script.name.endswith(".lua")} - {"lib"}
PEOPLES = {"discard", "glance", "load", "replay"}
QUEUE = {
    "receiver": {"admit", "load"},
    "worker": NAMES - PEOPLES - {"admit"} | {"load"},
    "desk": PEOPLES,
    "operator": set[str](),
}
OTHERS = {"receiver": FOLLOWING, "worker": FOLLOWING, "desk": [], "operator": [RUNTIME / "publish.lua"]}
FUNCTION = re.compile(r"^local function (\w+)(.*?^end|[^\n]*end)$", re.DOTALL | re.MULTILINE)
LIBRARY = dict(FUNCTION.findall(LUA.joinpath("lib.lua").read_text(encoding="utf-8")))


def source(name: str) -> str:
    """A script of the queue with those functions of the library that it comes to."""
    text = LUA.joinpath(f"{name}.lua").read_text(encoding="utf-8")
    called: set[str] = set()
    while missing := {each for each in LIBRARY if re.search(rf"\b{each}\(", text)} - called:
        called |= missing
        text += "".join(LIBRARY[each] for each in missing)
    return text


@pytest.mark.parametrize("user", QUEUE)
def test_every_command_of_a_programs_scripts_is_granted_to_it(user: str) -> None:
    texts = [*map(source, QUEUE[user]), *(script.read_text(encoding="utf-8") for script in OTHERS[user])]
    called = set(re.findall(r"(?:redis\.p?call|value)\('([A-Z]+)'", "".join(texts)))
    granted = set(re.findall(r"\+(\w+)", rules()[user]))
    assert len(called) >= 4
    assert {command.lower() for command in called} <= granted


def test_every_script_of_the_queue_is_somebodys() -> None:
    assert set.union(*QUEUE.values()) == NAMES


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
