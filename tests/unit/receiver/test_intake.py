"""What becomes of a genuine request, told in full: which deliveries with which claims, and what is left out why."""

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final, cast
from urllib.parse import quote_plus

import msgspec
import pytest
from structlog.testing import capture_logs

from eventroute.expression import Budget
from eventroute.hops import Markers
from eventroute.ids import Claim, DeliveryId, claim_id
from eventroute.outcome import DeadReason, Unavailable
from eventroute.queue import Admissions, Admitted, Candidate, Full, Limited, Limits, Load, New
from eventroute.route_table import DebounceRule, RateLimit, ReceiverRoute, RedactRule
from eventroute.runtime.scripts import RedisAway, RedisForbids
from eventroute.schemes import SCHEMES, Handshake, Rejected, Request, Scheme, sign
from eventroute.secret import Secret
from eventroute_receiver import admit as admit_module
from eventroute_receiver.admit import Admission, NotNow
from eventroute_receiver.intake import MAX_HEADERS_BYTES, MAX_UNREADABLE_BYTES, Genuine, judge
from eventroute_receiver.routes import prepare
from support.receiving import opened, pull_request, signed
from support.sample_routes import SECRET, receiver_route

NOW: Final = 1_000_000.5
URL: Final = "https://hooks.example.com/hooks/team-a/triage"


def judged(request: Request, provider: str = "github", **route: Any) -> Genuine:
    found = judge(prepare(receiver_route(provider, generation=3, **route)), request, NOW, Budget())
    assert isinstance(found, Genuine)
    return found


def told(candidate: Candidate) -> dict[str, Any]:
    """Tell a candidate in plain values, but for its id, which is new each time."""
    assert candidate.delivery.id.startswith("d-")
    fields = msgspec.structs.asdict(candidate.delivery) | {"payload": bytes(candidate.delivery.payload).decode()}
    del fields["id"]
    of_entity = {"lane": candidate.lane, "whom": candidate.whom}
    return {**fields, "claims": list(candidate.claims), "dead": candidate.dead, **of_entity}


def batch(*numbers: int) -> Request:
    usual = {"portalId": 1, "subscriptionId": 7, "occurredAt": 1, "subscriptionType": "contact.creation"}
    return signed("hubspot", [{**usual, "eventId": number} for number in numbers], url=URL, now=NOW)


def numbers_of(candidates: Sequence[Candidate]) -> list[int]:
    return [msgspec.json.decode(bytes(each.delivery.payload))["eventId"] for each in candidates]


def test_an_event_becomes_a_delivery_with_all_that_is_known_of_it() -> None:
    found = judged(opened(7, secret="older"), secrets=(Secret(SECRET.encode()), Secret(b"older")))
    assert (found.key_index, found.received_ms) == (1, 1_000_000_500)
    assert (found.filtered, found.own, found.reason) == ((), 0, "")
    (candidate,) = found.kept
    said = told(candidate)
    assert [claim.lifetime_s for claim in said["claims"]] == [345_600] * 2
    assert said["claims"][0].id == claim_id(receiver_route().uid, "id", b"gh-7")
    del said["claims"]
    assert said == {
        "route": "team-a/triage",
        "generation": 3,
        "provider": "github",
        "event": "pull_request.opened",
        "provider_id": "gh-7",
        "hops": 0,
        "parent": "",
        "received_ms": 1_000_000_500,
        "key_index": 1,
        "headers": {"content-type": "application/json", "x-github-event": "pull_request", "x-github-delivery": "gh-7"},
        "payload": '{"action":"opened","number":7,"pull_request":{"title":"Change 7"}}',
        "dead": None,
        "earlier": (),
        "lane": "",
        "whom": "",
    }


def test_a_long_name_of_the_providers_is_cut() -> None:
    (candidate,) = judged(opened(delivery="x" * 201)).kept
    assert candidate.delivery.provider_id == "x" * 200


def test_what_is_not_signed_is_rejected() -> None:
    found = judge(prepare(receiver_route()), opened(secret="another"), NOW, Budget())
    assert isinstance(found, Rejected)


def test_a_signature_is_judged_by_the_time_of_its_receipt() -> None:
    request = signed("slack", {"type": "event_callback", "event_id": "e", "event": {"type": "message"}}, now=NOW)
    hook = prepare(receiver_route("slack"))
    assert isinstance(judge(hook, request, NOW + 299, Budget()), Genuine)
    assert isinstance(judge(hook, request, NOW + 600, Budget()), Rejected)


def test_a_handshake_queues_nothing() -> None:
    request = signed("slack", {"type": "url_verification", "challenge": "c"}, now=NOW)
    found = judged(request, "slack", filter="false")
    assert isinstance(found.found, Handshake)
    assert (found.kept, len(found.filtered), found.own) == ((), 0, 0)


def test_a_suspended_route_that_drops_its_events_keeps_none_but_what_nobody_can_read() -> None:
    assert judged(opened(), suspend="drop").kept == ()
    (letter,) = judged(signed("github", b"{", event="push"), suspend="drop").kept
    assert letter.dead is not None


# --- filters ---


def test_what_the_filter_wants_is_kept_and_the_rest_is_counted() -> None:
    found = judged(batch(1, 2, 3, 4), "hubspot", public_url=URL, filter="payload.eventId > 1 && payload.eventId < 4")
    assert (numbers_of(found.kept), len(found.filtered), found.own, found.reason) == ([2, 3], 2, 0, "")
    assert [each.dead for each in found.kept] == [None, None]


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ('event == "pull_request.opened"', True),
        ('headers["x-github-event"] == "pull_request"', True),
        ('route.namespace == "team-a" && route.name == "triage"', True),
        ("payload.number == 1", True),
        ("payload.number == 2", False),
    ],
)
def test_a_filter_sees_payload_event_headers_and_route(expression: str, *, holds: bool) -> None:
    found = judged(opened(), filter=expression)
    assert (len(found.kept), len(found.filtered)) == ((1, 0) if holds else (0, 1))


def test_what_lacks_a_field_is_not_wanted_and_why_is_told() -> None:
    found = judged(batch(1, 2), "hubspot", public_url=URL, filter="payload.gone == 1")
    assert (found.kept, len(found.filtered), found.reason) == ([], 2, "missing_field")


def test_what_cannot_be_judged_is_a_dead_letter_and_the_first_trouble_is_told() -> None:
    expression = "payload.eventId == 1 ? payload.gone == 1 : payload.eventId == 2 ? 1 / 0 > 1 : payload.eventId > 3"
    found = judged(batch(3, 2, 1, 4), "hubspot", public_url=URL, filter=expression)
    assert (numbers_of(found.kept), len(found.filtered), found.reason) == ([2, 4], 2, "arithmetic")
    assert [each.dead for each in found.kept] == [(DeadReason.FILTER, "filter: arithmetic"), None]


@pytest.mark.parametrize("expression", [None, "true"])
def test_our_own_actions_are_left_out_and_counted(expression: str | None) -> None:
    payload = {**pull_request(), "sender": {"login": "our-bot"}}
    request = signed("github", payload, event="pull_request", delivery="gh-1")
    found = judged(request, own_actors=("our-bot",), filter=expression)
    assert (found.kept, len(found.filtered), found.own) == ([], 0, 1)
    found = judged(request, own_actors=("another",), filter=expression)
    assert (len(found.kept), len(found.filtered), found.own) == (1, 0, 0)


# --- hops ---


KEY: Final = Secret(b"k" * 32)
OURS: Final = Markers(KEY)


def marked(hops: int, number: int = 1) -> Request:
    title = f"Answer\n<!-- {OURS.write(hops)} -->" if hops else "Question"
    payload = {"action": "opened", "number": number, "pull_request": {"title": title}}
    return signed("github", payload, event="pull_request", delivery=f"gh-{number}", now=NOW)


def hops_of(found: Genuine) -> list[int]:
    return [each.delivery.hops for each in found.kept]


@pytest.mark.parametrize(("hops", "kept"), [(0, [0]), (1, [1]), (2, [2]), (3, []), (4, []), (20, [])])
@pytest.mark.parametrize("expression", [None, "true"])
def test_an_event_has_the_hops_of_its_marker_until_the_route_allows_no_more(
    hops: int, kept: list[int], expression: str | None
) -> None:
    found = judged(marked(hops), marker_key=KEY, max_hops=3, filter=expression)
    assert (hops_of(found), found.spent, found.own, len(found.filtered)) == (kept, 1 - len(kept), 0, 0)


def test_five_hops_are_allowed_where_nobody_says_so() -> None:
    assert hops_of(judged(marked(4), marker_key=KEY)) == [4]
    assert judged(marked(5), marker_key=KEY).spent == 1


def test_markers_of_another_key_count_nothing() -> None:
    for key in (Secret(b"x" * 32), Secret(b"")):
        assert hops_of(judged(marked(9), marker_key=key)) == [0]


def test_each_event_of_a_batch_has_hops_of_its_own() -> None:
    usual = {"portalId": 1, "subscriptionId": 7, "occurredAt": 1, "subscriptionType": "contact.creation"}
    values = {1: "", 2: OURS.write(2), 3: OURS.write(5), 4: OURS.write(99).replace("a", "b")}
    items = [{**usual, "eventId": number, "propertyValue": value} for number, value in values.items()]
    found = judged(signed("hubspot", items, url=URL, now=NOW), "hubspot", public_url=URL, marker_key=KEY)
    assert (numbers_of(found.kept), hops_of(found), found.spent) == ([1, 2, 4], [0, 2, 0], 1)


def test_a_form_brings_its_marker() -> None:
    text = json.dumps({"type": "block_actions", "message": {"text": f"Done.\n{OURS.write(2)}"}})
    form = [(b"content-type", b"application/x-www-form-urlencoded")]
    body = f"payload={quote_plus(text)}".encode()
    bare = Request(method="POST", url=None, headers=form, body=body)
    request = sign(SCHEMES["slack"], bare, secret=SECRET.encode(), now=NOW)
    assert hops_of(judged(request, "slack", marker_key=KEY)) == [2]


def test_what_is_redacted_is_looked_through_all_the_same() -> None:
    found = judged(marked(2), marker_key=KEY, redact=RedactRule(payload=("pull_request.title",)))
    assert hops_of(found) == [2]
    assert OURS.write(2).encode() not in bytes(found.kept[0].delivery.payload)


def test_of_our_own_actions_nobody_counts_hops() -> None:
    payload = {**pull_request(), "sender": {"login": "our-bot"}, "body": OURS.write(9)}
    request = signed("github", payload, event="pull_request", delivery="gh-1", now=NOW)
    found = judged(request, own_actors=("our-bot",), marker_key=KEY)
    assert (found.kept, found.own, found.spent) == ([], 1, 0)


# --- headers, and what one request may cost ---


def with_headers(request: Request, *more: tuple[bytes, bytes]) -> Request:
    request.headers = [*request.headers, *more]
    return request


def test_headers_that_nothing_of_the_route_names_are_not_kept() -> None:
    request = with_headers(opened(), (b"x-account", b"a-1"), (b"x-noise", b"n" * 100_000))
    (candidate,) = judged(request, headers=("x-account",)).kept
    assert candidate.delivery.headers == {
        "content-type": "application/json",
        "x-github-event": "pull_request",
        "x-github-delivery": "gh-1",
        "x-account": "a-1",
    }


def test_a_credential_that_a_route_names_is_not_kept_all_the_same() -> None:
    request = with_headers(opened(), (b"authorization", b"Bearer hidden"))
    (candidate,) = judged(request, headers=("authorization",)).kept
    assert "authorization" not in candidate.delivery.headers


def test_of_all_headers_those_are_kept_that_fit() -> None:
    long = [(b"x-%d" % number, b"v" * 3000) for number in range(4)]
    (candidate,) = judged(
        with_headers(opened(), *long, (b"x-last", b"fits")), filter='headers["x-last"] == "fits"'
    ).kept
    kept = candidate.delivery.headers
    assert sum(len(name) + len(value) for name, value in kept.items()) <= MAX_HEADERS_BYTES
    assert [name for name in kept if name.startswith("x-") and "github" not in name] == ["x-0", "x-1", "x-last"]


@pytest.mark.parametrize(("names", "most_bytes"), [(None, 1_500_000), (("x-account",), 500_000)])
async def test_a_batch_hands_no_multiple_of_large_headers_to_redis(
    names: tuple[str, ...] | None, most_bytes: int
) -> None:
    asked: list[int] = []

    async def call(_script: Any, _group: str, args: Sequence[Any]) -> list[bytes]:
        asked.append(sum(len(each) for each in args if isinstance(each, (bytes, str))))
        return [b"ok"] + [b""] * 500

    more = [(b"x-%d" % number, b"v" * 1000) for number in range(100)]
    found = judged(with_headers(batch(*range(500)), *more), "hubspot", public_url=URL, headers=names)
    limits = Limits(depth=1000, bytes=0)
    admissions = Admissions(cast("Any", call), limits=limits)
    assert isinstance(await admissions.admit(receiver_route().path, found.kept, rate=None), Admitted)
    assert asked[0] < most_bytes


def test_filters_of_one_request_share_a_bound_and_what_exceeds_it_is_undecided() -> None:
    pattern = "(ab|cd){20}x"  # some 20 ms by the estimate
    expression = f'payload.subscriptionType.matches("{pattern}") || true'
    found = judged(batch(*range(100)), "hubspot", public_url=URL, filter=expression)
    assert len(found.kept) == 100
    undecided = [each.dead for each in found.kept if each.dead]
    assert undecided == [(DeadReason.FILTER, "filter: too_large")] * len(undecided)
    assert 25 < len(undecided) < 75
    assert found.kept[0].dead is None
    (alone,) = judged(batch(99), "hubspot", public_url=URL, filter=expression).kept
    assert alone.dead is None


# --- entities ---


@pytest.mark.parametrize("has_lanes", [True, False])
@pytest.mark.parametrize("collects", [True, False])
def test_whom_an_event_is_about_is_told_where_that_counts(*, has_lanes: bool, collects: bool) -> None:
    rule = DebounceRule(quiet_s=1, max_s=2) if collects else None
    route: dict[str, Any] = {"entity": "payload.number", "per_entity": has_lanes, "debounce": rule}
    (one,), (again,), (other,) = (judged(opened(number), **route).kept for number in (1, 1, 2))
    whom = claim_id(receiver_route().uid, "entity", b"1")
    assert (one.lane, one.whom) == (whom if has_lanes else "", whom if collects else "")
    assert (again.lane, again.whom) == (one.lane, one.whom)
    assert (other.lane == one.lane, other.whom == one.whom) == (not has_lanes, not collects)


@pytest.mark.parametrize("entity", [None, "payload.gone"])
def test_nobody_is_told_where_none_can_be_named(entity: str | None) -> None:
    (candidate,) = judged(opened(), entity=entity, per_entity=True).kept
    assert (candidate.lane, candidate.whom) == ("", "")


# --- redaction ---


@pytest.mark.parametrize(
    ("columns", "body", "kept"),
    [
        ({}, {"auth": {"token": SECRET}, "n": 1}, ['{"auth":{"token":"[redacted]"},"n":1}']),
        (
            {"signature": "body:items.[].token", "batch": "body:items"},
            {"items": [{"token": SECRET, "n": 1}]},
            ['{"token":"[redacted]","n":1}'],
        ),
        (
            {"batch": "body:items"},
            {"auth": {"token": SECRET}, "items": [{"auth": {"token": 1}}]},
            ['{"auth":{"token":1}}'],
        ),
        ({"batch": "body"}, {"auth": {"token": SECRET}}, ['{"auth":{"token":"[redacted]"}}']),
    ],
)
def test_a_credential_in_the_body_is_not_kept(columns: dict[str, Any], body: dict[str, Any], kept: list[str]) -> None:
    row = Scheme(name="custom", kind="token", signature="body:auth.token")
    headers = [(b"content-type", b"application/json")]
    request = Request(method="POST", url=None, headers=headers, body=msgspec.json.encode(body))
    found = judged(request, scheme=msgspec.structs.replace(row, **columns))
    assert [bytes(each.delivery.payload).decode() for each in found.kept] == kept


def test_headers_and_fields_that_are_not_to_be_kept_are_marked_and_the_filter_sees_them() -> None:
    rule = RedactRule(headers=("x-github-event", "x-gone"), payload=("pull_request.title",))
    expression = 'headers["x-github-event"] == "pull_request"'
    (candidate,) = judged(opened(), redact=rule, filter=expression).kept
    assert candidate.delivery.headers == {
        "content-type": "application/json",
        "x-github-event": "[redacted]",
        "x-github-delivery": "gh-1",
    }
    payload = msgspec.json.decode(bytes(candidate.delivery.payload))
    assert payload == {"action": "opened", "number": 1, "pull_request": {"title": "[redacted]"}}


# --- bodies that nobody can read ---


def test_a_body_that_nobody_can_read_is_a_dead_letter_with_its_beginning() -> None:
    body = b'{"a":\xff' + b"x" * MAX_UNREADABLE_BYTES
    found = judged(signed("github", body, event="push", delivery="gh-9"))
    (letter,) = found.kept
    said = told(letter)
    (claim,) = said["claims"]
    assert claim == Claim(claim_id(receiver_route().uid, "unreadable", body), receiver_route().scheme.dedup_ttl_s)
    text = msgspec.json.decode(said["payload"])
    assert text == '{"a":\\xff' + "x" * (MAX_UNREADABLE_BYTES - 6)
    assert (said["event"], said["provider_id"], len(found.filtered), found.own) == ("", "", 0, 0)
    assert said["dead"] == (DeadReason.UNPARSABLE, said["dead"][1])
    assert said["dead"][1]
    assert MAX_UNREADABLE_BYTES == 65_536


def test_nothing_of_it_is_kept_where_fields_are_to_be_redacted() -> None:
    rule = RedactRule(headers=(), payload=("secret",))
    (letter,) = judged(signed("github", b"{", event="push"), redact=rule).kept
    assert bytes(letter.delivery.payload) == b'"[redacted]"'


# --- what Redis says ---


class Calls:
    """Stands for the calls to the queue; answers as told."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[Any] = []
        self._answers = list(answers)

    def _next(self) -> Any:
        found = self._answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def admit(self, *args: Any, **options: Any) -> Any:
        self.asked.append((*args, options))
        return self._next()

    async def __call__(self, script: Any, key: str, args: Sequence[Any]) -> Any:
        self.asked.append((script.name, key, list(args)))
        return self._next()


def admission(calls: Calls, *, groups: int = 1, is_up: bool = True) -> Admission:
    found = Admission(cast("Any", SimpleNamespace(is_up=is_up)), limits=Limits(1, 2), groups=groups)
    assert found._queue.limits == Limits(1, 2)
    assert found._queue._groups == groups
    found._call = found._queue = cast("Any", calls)
    return found


async def test_whether_redis_is_there() -> None:
    assert [admission(Calls(), is_up=is_up).is_up for is_up in (True, False)] == [True, False]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (Admitted([New(DeliveryId("d-1"))]), None),
        (Limited(1.5), None),
        (Full("queue"), NotNow(Unavailable.QUEUE_FULL)),
        (Full("route"), NotNow(Unavailable.ROUTE_FULL)),
        (RedisAway("OOM", "OOM full"), NotNow(Unavailable.MEMORY)),
        (RedisAway("LOST", "no answer"), NotNow(Unavailable.REDIS)),
        (RedisForbids("NOPERM", "no right"), NotNow(Unavailable.REDIS)),
    ],
)
async def test_what_the_queue_says_becomes_what_the_sender_hears(said: Any, heard: NotNow | None) -> None:
    calls, rate = Calls(said), RateLimit(per_second=1, burst=2)
    route: ReceiverRoute = receiver_route(rate_limit=rate)
    assert await admission(calls).admit(route, [], traceparent="00-x") == (heard or said)
    assert calls.asked == [(route.path, [], {"rate": rate, "traceparent": "00-x", "debounce": None})]


async def test_the_load_is_that_of_all_groups() -> None:
    told: list[list[Any]] = [
        [1, 2, 3, 4, 15, 0, [], 0],
        [10, 20, 30, 40, 150, 0, [b"team-a/lifted", 5, b"team-a/held", 7], 9],
    ]
    calls = Calls(*told)
    found = await admission(calls, groups=2).load()
    assert found == Load(11, 22, 33, 44, 55, workable=33)
    found = await admission(Calls(*told), groups=2).load(may_go=lambda path: path == "team-a/lifted")
    assert found == Load(16, 22, 33, 44, 50, workable=38)
    assert calls.asked == [("load", "er:{g0}:", []), ("load", "er:{g1}:", [])]
    assert await admission(Calls(RedisAway("OOM", "full"))).load() == NotNow(Unavailable.MEMORY)
    assert await admission(Calls(RedisForbids("NOPERM", "no"))).load() == NotNow(Unavailable.REDIS)


def test_what_redis_refuses_is_told_once_a_second_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(admit_module, "time", SimpleNamespace(monotonic=lambda: now))

    async def scene() -> list[str]:
        nonlocal now
        errors = [RedisAway(word, f"{word} said") for word in ("OOM", "OOM", "LOST", "OOM", "OOM", "LOST")]
        edge = admission(Calls(*errors))
        with capture_logs() as logs:
            for at in (0.0, 0.5, 0.5, 1.0, 1.25, 1.5):
                now = at
                await edge.load()
        return [f"{each['event']} {each['word']} {each['error']}" for each in logs]

    assert asyncio.run(scene()) == [f"redis_refuses {word} {word} said" for word in ("OOM", "LOST", "OOM", "LOST")]


@pytest.mark.parametrize(("stopped", "workable"), [(0, 1), (1, 0)])
async def test_what_is_parked_keeps_a_worker_to_see_when_that_is_mended(stopped: int, workable: int) -> None:
    found = await admission(Calls([0, 0, 0, 0, 5, stopped, [], 5])).load()
    assert found == Load(0, 0, 0, 0, 5, workable=workable)


def test_a_header_that_stands_twice_hides_no_other() -> None:
    request = opened(7)
    request = Request(
        method="POST", url=None, headers=[*request.headers, (b"via", b"a"), (b"via", b"b")], body=request.body
    )
    found = judge(prepare(receiver_route()), request, NOW, Budget())
    assert isinstance(found, Genuine)
    assert told(found.kept[0])["event"] == "pull_request.opened"
