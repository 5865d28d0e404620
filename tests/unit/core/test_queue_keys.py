"""The queue's scripts and `eventroute.queue.keys` make the same names, and every script declares one key."""

import re
from importlib.resources import files

import pytest

from eventroute.ids import ClaimId, DeliveryId, RoutePath
from eventroute.queue import Group, scripts
from eventroute.runtime.scripts import Script

LUA = {
    file.name.removesuffix(".lua"): file.read_text(encoding="utf-8")
    for file in files("eventroute.queue").joinpath("lua").iterdir()
}
OWN = {name: text for name, text in LUA.items() if name != "lib"}
FINISHED = {"bodies", "answers", "records"}


def _code(text: str) -> str:
    return re.sub(r"--.*", "", text)


def _made_by_group() -> set[str]:
    """What `Group` puts behind the prefix, up to what differs between keys of a kind."""
    group = Group(0)
    keys = {
        group.usage,
        group.rotation,
        group.later,
        group.running,
        group.suspects,
        group.solo,
        group.held,
        group.limits,
        group.strict,
        group.turns,
        group.causes,
        group.probed,
        group.outdone,
        group.wake,
        group.routes,
        group.keeper,
        group.budgets,
        group.reserved,
        group.budget("*"),
        group.stop,
        group.delivery(DeliveryId("*")),
        group.claim(ClaimId("*")),
        group.route(RoutePath("*")),
        group.ready(RoutePath("*")),
        group.active(RoutePath("*")),
        group.lane(RoutePath("*"), "*"),
        group.behind(RoutePath("*")),
        group.collecting(RoutePath("*"), "*"),
        group.collected(DeliveryId("*")),
        group.newest(RoutePath("*"), "*"),
        group.holding(RoutePath("*")),
        group.sendings,
        group.dead(RoutePath("*")),
        group.finished("*", RoutePath("*")),
        group.parked("*"),
        group.parked_of("*"),
        group.waiting_routes("*"),
        group.waiting("*", RoutePath("*")),
        group.history("*"),
        group.place(RoutePath("*"), "*"),
        group.pace("*"),
        group.stream("*", "*"),
    }
    assert all(key.startswith("er:{g0}:") for key in keys)
    return {key.removeprefix(group.prefix).partition("*")[0] for key in keys}


def test_none_of_the_groups_names_is_missing_here() -> None:
    names = {name for name in vars(Group) if not name.startswith("_")} - {"number", "prefix", "tag"}
    assert len(names) == len(_made_by_group())


def test_every_key_that_a_script_makes_is_one_of_the_groups_and_the_other_way_round() -> None:
    made: set[str] = set()
    for text in LUA.values():
        made |= set(re.findall(r"\bP \.\. '([^']*)'", _code(text)))
        made |= {"" for _ in re.findall(r"\bP \.\. kind \.\. ':'", _code(text))}
    assert made == _made_by_group()


@pytest.mark.parametrize("name", LUA)
def test_no_script_puts_a_prefix_before_anything_but_a_name(name: str) -> None:
    built = re.findall(r"\bP\b(?! = KEYS\[1\])(.{0,12})", _code(LUA[name]))
    assert all(re.match(r" \.\. ('[a-z_]+:?'?|kind)", rest) for rest in built), built


def test_what_has_ended_stands_in_three_sets_by_the_names_that_the_docstring_gives() -> None:
    used = {word for text in LUA.values() for word in re.findall(r"'(bodies|answers|records)'", _code(text))}
    assert used == FINISHED
    assert all(f"`{kind}`" in (Group.finished.__doc__ or "") for kind in FINISHED)


@pytest.mark.parametrize("name", OWN)
def test_a_script_declares_one_key_and_calls_nothing_on_a_name_of_its_own(name: str) -> None:
    script = getattr(scripts, name.upper())
    assert isinstance(script, Script)
    assert set(re.findall(r"KEYS\[\d+\]", _code(script.source.decode()))) <= {"KEYS[1]"}
    assert not re.search(r"\bKEYS\b", _code(OWN[name]))
    assert not re.findall(r"redis\.call\('(?!INFO')[A-Z]+', *['\"]", _code(OWN[name]))  # INFO's word is no key


@pytest.mark.parametrize("name", OWN)
def test_the_servers_line_is_the_first_one(name: str) -> None:
    first = getattr(scripts, name.upper()).source.partition(b"\n")[0]
    expected = {"admit": b"#!lua", **dict.fromkeys(("glance", "load", "memory"), b"#!lua flags=no-writes")}
    assert first == expected.get(name, b"#!lua flags=allow-oom")
