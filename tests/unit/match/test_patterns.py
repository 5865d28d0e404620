"""Event patterns: `*` stands for one or more characters of one segment, alone for anything; more may follow."""

import time

import pytest

from eventroute.match import accepts, covers


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ("*", "push"),
        ("*", "a.b.c"),
        ("*", ""),
        ("push", "push"),
        ("pull_request", "pull_request.opened"),
        ("customer.subscription", "customer.subscription.trial_will_end.x"),
        ("invoice.*", "invoice.payment.failed"),
        ("pull_*", "pull_request.opened"),
        ("invoice.*", "invoice.paid"),
        ("*.opened", "issues.opened"),
        ("pull_*.opened", "pull_request.opened"),
        ("a.*.c", "a.b.c"),
        ("a*b*c", "a-b-c"),
        ("a*b*c", "aXbbXc"),
        ("*a", "ba"),
        ("orders/*", "orders/create"),
        ("**", "ab"),
        ("", ""),
    ],
)
def test_a_pattern_accepts(pattern: str, event: str) -> None:
    assert accepts(pattern, event)


@pytest.mark.parametrize(
    ("pattern", "event"),
    [
        ("pull_request.opened", "pull_request"),
        ("pull_request", "pull_request_review.submitted"),
        ("request", "pull.request"),
        ("push", "pusher"),
        ("push", ""),
        ("push", "Push"),
        ("invoice.*", "invoice"),
        ("invoice.*", "invoice."),
        ("*.*", "push"),
        ("a*a", "a"),
        ("a*a", "aa"),
        ("a*b*c", "abc"),
        ("**", "a"),
        ("p?sh", "push"),
        ("[p]ush", "push"),
        ("p.sh", "push"),
        (".*", "push"),
        ("(push|pull)", "push"),
        ("push$", "push"),
        ("{push,pull}", "push"),
        ("push", "push\n"),
    ],
)
def test_a_pattern_does_not_accept(pattern: str, event: str) -> None:
    assert not accepts(pattern, event)


@pytest.mark.parametrize("event", ["*", "a.*", "[a]", "(?i)push", "a" * 10_000, "\ud800", "push\0"])
def test_an_event_name_is_never_a_pattern(event: str) -> None:
    assert not accepts("push", event)
    assert accepts("*", event)


def test_no_event_name_makes_matching_slow() -> None:
    start = time.perf_counter()
    assert not accepts("a*a*a*a*a*a*a*a*b", "a" * 100_000)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("general", "special", "expected"),
    [
        ("*", "a.*", True),
        ("*", "*", True),
        ("a.*", "a.b", True),
        ("a.*", "a.*", True),
        ("a.b", "a.b", True),
        ("a.b", "a.*", False),
        ("a", "a.b", True),
        ("a", "a.*", True),
        ("a.b", "a", False),
        ("a.*", "a.b.c", True),
        ("*", "", True),
        ("a.*", "*", False),
        ("a.*", "b.c", False),
        ("a.*", "a.b*", False),  # it does, but not knowing is allowed
    ],
)
def test_one_pattern_covers_another(general: str, special: str, expected: bool) -> None:
    assert covers(general, special) is expected
