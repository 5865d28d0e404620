"""A wrong edit of a prompt while events arrive: none is refused, all are answered, by the former prompt meanwhile."""

from e2e.support.installation import Installation, until
from e2e.support.traffic import PROVIDER, Traffic, discrepancies

WRONG = [{"events": ["*"], "user": "{{ nobody }}"}]
RIGHT = [{"events": ["*"], "system": "Say in one sentence what happened."}]


def test_no_event_is_refused_and_all_are_answered_while_a_prompt_is_wrong(site: Installation) -> None:
    site.add_route("edited", PROVIDER)
    traffic = Traffic(site, "edited", per_second=20)
    with traffic.flowing():
        traffic.until_acknowledged(20)
        site.patch_route("edited", prompts=WRONG)
        until(lambda: site.condition("edited", "Ready") == ("False", "UnknownVariable"), "the mistake is told")
        traffic.until_acknowledged(60)
        meanwhile = list(traffic.acknowledged.values())[:50]
        assert all(site.answer(delivery)["outcome"] == "succeeded" for delivery in meanwhile)
        site.patch_route("edited", prompts=RIGHT)
        site.wait_served("edited")
        traffic.until_acknowledged(20)
    assert traffic.statuses().keys() == {200}
    assert discrepancies(traffic) == []
