"""Access rules: every command of the programs' scripts is granted, none that no program calls, none by the dozen."""

import re
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest

from eventroute.acl import rules

QUEUE = files("eventroute.queue").joinpath("lua")
NAMES = {script.name.removesuffix(".lua") for script in QUEUE.iterdir()} - {"lib"}
RECEIVERS = {"admit", "load"}
SCRIPTS = {"receiver": RECEIVERS, "worker": NAMES}
THROTTLE = files("eventroute.throttle").joinpath("lua")
PLACES = {
    "receiver": {"figures"},
    "worker": {script.name.removesuffix(".lua") for script in THROTTLE.iterdir()} - {"lib"},
}
"""Scripts of the throttle."""
DIRECT = {
    "receiver": "ping select role cluster|slots client|setinfo time info wait subscribe eval evalsha hget hmget hscan",
    "worker": "ping select role cluster|slots client|setinfo time info subscribe eval evalsha hget hmget hscan "
    "blpop hgetall smembers zcard zrevrangebyscore",
}
"""What the programs call themselves, without a script."""


def called(name: str, folder: Traversable = QUEUE) -> set[str]:
    """Find the commands that a script calls, itself and by what it shares with others."""

    def text(name: str) -> str:
        return folder.joinpath(f"{name}.lua").read_text(encoding="utf-8")

    parts = re.split(r"^local function (\w+)", text("lib"), flags=re.MULTILINE)
    shared = dict(zip(parts[1::2], parts[2::2], strict=True))
    source, read = parts[0] + text(name), set[str]()
    while found := {name for name in shared.keys() - read if re.search(rf"\b{name}\(", source)}:
        read |= found
        source += "".join(shared[name] for name in found)
    return {command.lower() for command in re.findall(r"redis\.p?call\('(\w+)'", source)}


def of_runtime(*names: str) -> set[str]:
    source = "".join(
        files("eventroute.runtime").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8") for name in names
    )
    return {command.lower() for command in re.findall(r"redis\.call\('(\w+)'", source)}


def granted(user: str) -> set[str]:
    return set(re.findall(r"\+([\w|]+)", rules()[user]))


@pytest.mark.parametrize("user", SCRIPTS)
def test_every_command_of_a_programs_scripts_is_granted_to_it_and_no_other(user: str) -> None:
    places = (called(name, THROTTLE) for name in PLACES[user])
    wanted = set[str]().union(of_runtime("beat", "stats"), *map(called, SCRIPTS[user]), *places)
    assert len(wanted) >= 15
    assert wanted <= granted(user)
    assert granted(user) - wanted - set(DIRECT[user].split()) == set()


def test_every_command_of_a_publication_is_granted_to_the_operator() -> None:
    assert of_runtime("publish") <= granted("operator")


def test_what_a_receiver_writes_of_a_delivery_it_cannot_read() -> None:
    of_deliveries = [grant for grant in re.findall(r"\(([^)]*)\)", rules()["receiver"]) if ":d:*" in grant]
    assert sorted(of_deliveries) == [
        "%R~er:{g*}:d:* +hstrlen +exists +hexists",
        "%W~er:{g*}:d:* +hset +hdel +pexpire +persist",
    ]


def test_people_may_do_what_their_scripts_and_lists_need_and_nothing_else() -> None:
    scripts = set[str]().union(*map(called, ("discard", "glance", "load", "replay")))
    direct = "ping select role cluster|slots client|setinfo time"
    lists = "eval evalsha hgetall zscore zcard zrevrangebyscore hkeys smembers llen"
    assert scripts <= granted("desk")
    assert granted("desk") - scripts - {*direct.split(), *lists.split()} == set()


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
