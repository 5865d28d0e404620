"""What a route refers to may come late, go, come back and change: the route follows, and says what is missing."""

import pytest

from support.control_plane import SECRET, Namespace
from support.waiting import until

OTHER = "another-secret-of-a-good-length"


async def test_a_route_waits_for_its_secret_and_loses_it_and_finds_it(team: Namespace) -> None:
    team.apply_route()
    ready = await team.until_not_ready("SecretNotFound")
    assert "hook" in ready["message"]
    assert team.deliver() == 503
    team.apply_secret("hook", {"secret": SECRET})
    await team.until_ready()
    assert team.deliver() == 200
    team.delete("secrets", "hook")
    await team.until_not_ready("SecretNotFound")
    await until(lambda: team.deliver() == 503)  # not at once: it may be on its way back
    team.apply_secret("hook", {"secret": SECRET})
    await team.until_ready()
    await until(lambda: team.deliver() == 200)


async def test_a_route_waits_for_its_config_map_and_follows_it(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route(prompts=[{"systemFrom": {"name": "texts", "key": "system"}}])
    await team.until_not_ready("ConfigMapNotFound")
    team.apply_config_map("texts", other="text")
    await team.until_not_ready("ConfigMapKeyNotFound")
    team.apply_config_map("texts", system="Be brief.")
    await team.until_ready()


async def test_while_a_secret_is_rotated_both_are_accepted(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route(secretRefs=[{"name": "hook", "key": "secret"}])
    await team.until_ready()
    before = team.route()["status"]["secrets"]
    team.apply_secret("hook", {"secret": OTHER, "previous": SECRET})
    team.apply_route(secretRefs=[{"name": "hook", "key": "secret"}, {"name": "hook", "key": "previous"}])
    await until(lambda: team.deliver(secret=OTHER) == 200)
    await until(lambda: team.deliver(secret=SECRET) == 200)
    await team.until_ready()
    after = team.route()["status"]["secrets"]
    assert [each["key"] for each in after] == ["secret", "previous"]
    assert after[0]["revision"] != before[0]["revision"]
    await until(lambda: ("Normal", "SecretRotated") in team.events())


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("secret", SECRET + "\n", "SecretHasWhitespace"),
        ("wrong", SECRET, "SecretKeyNotFound"),
        ("secret", "", "SecretEmpty"),
        ("secret", " \n", "SecretEmpty"),
        ("secret", "short", "SecretTooShort"),
    ],
)
async def test_an_unusable_secret_is_named_and_never_shown(team: Namespace, key: str, value: str, reason: str) -> None:
    team.apply_secret("hook", {key: value})
    team.apply_secret("good", {"secret": SECRET})
    team.apply_route("bad")
    team.apply_route("good", secretRefs=[{"name": "good", "key": "secret"}])
    ready = await team.until_not_ready(reason, "bad")
    assert "bad" in ready["message"]
    assert team.condition("SecretsResolved", "bad")["reason"] == reason
    await team.until_ready("good")
    assert team.deliver("bad") == 503
    assert SECRET not in str(team.route("bad")) + team.plane.operator.log()


async def test_a_binary_secret_is_a_secret(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": bytes(range(128, 160))})
    team.apply_route()
    await team.until_ready()


async def test_a_config_map_of_a_mebibyte_is_refused_and_harms_nobody(team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_config_map("texts", system="x" * 1_040_000)
    team.apply_route("large", prompts=[{"systemFrom": {"name": "texts", "key": "system"}}])
    team.apply_route("small")
    ready = await team.until_not_ready("TextTooLong", "large")
    assert "1040000 characters" in ready["message"]
    await team.until_ready("small")


async def test_names_at_the_length_limit_are_served(team: Namespace) -> None:
    name = "r" * 253
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route(name)
    await team.until_ready(name)
    assert team.deliver(name) == 200
    await until(lambda: ("Normal", "Programmed") in team.events())
