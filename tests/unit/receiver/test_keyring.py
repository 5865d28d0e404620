"""Fetching has its bounds: a stranger makes us fetch little, a provider that is away costs no key that is at hand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from eventroute.errors import RetryLater
from eventroute.schemes import SCHEMES, Absent, KeyName, PublicKey, Scheme
from eventroute_receiver import metrics
from eventroute_receiver.fetch import Document
from eventroute_receiver.keyring import ABSENT_S, Keyring
from support.fetched_keys import AWS, CERTIFICATE, KEY_ID, certificate, key_set

SNS, PUBSUB = SCHEMES["aws-sns"], SCHEMES["google-pubsub"]
NAME = KeyName(f"{AWS}/{CERTIFICATE}")
GOOGLE = KeyName(PUBSUB.keys_at, KEY_ID)
DAY = 86_400


@dataclass
class Site:
    """A keyring, its clock, and what it finds at addresses."""

    documents: dict[str, Document | RetryLater | None] = field(default_factory=dict)
    now: float = 1000.0
    asked: list[str] = field(default_factory=list)
    needed: tuple[Scheme, ...] = ()
    gate: Callable[[], Awaitable[object]] | None = None

    def __post_init__(self) -> None:
        self.keyring = Keyring(self.fetch, needed=lambda: self.needed, clock=lambda: self.now)

    async def fetch(self, url: str) -> Document | None:
        self.asked.append(url)
        if self.gate:
            await self.gate()
        found = self.documents.get(url)
        if isinstance(found, RetryLater):
            raise found
        return found

    async def look(self) -> None:
        """Let the background work look once, and what it begins end."""
        self.keyring._refresh()
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def site() -> Site:
    return Site({NAME.url: Document(certificate(), None), GOOGLE.url: Document(key_set(), 20_000.0)})


def fetches(outcome: str, provider: str = "aws-sns") -> int:
    return metrics.FETCHES.counts[provider, outcome]


async def test_a_key_is_at_hand_once_it_was_wanted(site: Site) -> None:
    before = fetches("fetched")
    assert site.keyring.find(NAME) is None
    await site.keyring.want(SNS, NAME)
    assert isinstance(site.keyring.find(NAME), PublicKey)
    assert (site.asked, fetches("fetched") - before) == ([NAME.url], 1)


async def test_what_many_want_at_once_is_fetched_once(site: Site) -> None:
    await asyncio.gather(*(site.keyring.want(SNS, NAME) for _ in range(300)))
    assert site.asked == [NAME.url]


async def test_a_key_that_does_not_exist_is_denied_for_a_while(site: Site) -> None:
    before, gone = fetches("absent"), KeyName(f"{AWS}/SimpleNotificationService-ff.pem")
    await site.keyring.want(SNS, gone)
    assert site.keyring.find(gone) is Absent.ABSENT
    site.now += ABSENT_S
    assert site.keyring.find(gone) is None
    assert fetches("absent") - before == 1


async def test_an_unknown_id_is_denied_for_as_long_as_the_set_of_keys_is_new(site: Site) -> None:
    other = KeyName(GOOGLE.url, "other")
    await site.keyring.want(PUBSUB, other)
    assert site.keyring.find(other) is Absent.ABSENT
    assert isinstance(site.keyring.find(GOOGLE), PublicKey)
    site.now += ABSENT_S
    assert site.keyring.find(other) is None  # it may have come by now
    site.documents[GOOGLE.url] = Document(key_set("provider", "other"), None)
    await site.keyring.want(PUBSUB, other)
    assert isinstance(site.keyring.find(other), PublicKey)


@pytest.mark.parametrize(
    "found",
    [RetryLater("no route"), Document(b"<html>", None), Document(certificate("short"), None)],
    ids=["away", "a page", "a short key"],
)
async def test_what_cannot_be_fetched_is_not_denied(site: Site, found: Document | RetryLater) -> None:
    site.documents[NAME.url] = found
    before = fetches("failed")
    with capture_logs() as logs:
        await site.keyring.want(SNS, NAME)
    assert site.keyring.find(NAME) is None
    assert fetches("failed") - before == 1
    assert [(entry["event"], entry["provider"], entry["url"]) for entry in logs] == [
        ("fetch_failed", "aws-sns", NAME.url)
    ]


async def test_a_missing_set_of_keys_denies_nobody(site: Site) -> None:
    site.documents[GOOGLE.url] = None
    await site.keyring.want(PUBSUB, GOOGLE)
    assert site.keyring.find(GOOGLE) is None


async def test_what_failed_is_not_tried_again_at_once(site: Site) -> None:
    site.documents[NAME.url] = RetryLater("no route")
    for _ in range(5):
        await site.keyring.want(SNS, NAME)
    assert len(site.asked) == 1
    site.now += 10
    await site.keyring.want(SNS, NAME)
    assert len(site.asked) == 2


async def test_a_stranger_starts_few_fetches_and_the_log_stays_short(site: Site) -> None:
    before = fetches("limited")
    names = [KeyName(f"{AWS}/SimpleNotificationService-{number:x}.pem") for number in range(500)]
    site.documents |= {name.url: RetryLater("no route") for name in names}
    with capture_logs() as logs:
        for name in names:
            await site.keyring.want(SNS, name)
    assert len(site.asked) == 16
    assert fetches("limited") - before == 484
    assert len(logs) == 1
    site.now += 10
    for name in names:
        await site.keyring.want(SNS, name)
    assert len(site.asked) == 21


async def test_what_strangers_make_up_pushes_no_key_out(site: Site) -> None:
    await site.keyring.want(SNS, NAME)
    for number in range(1000):
        site.now += 2
        await site.keyring.want(SNS, KeyName(f"{AWS}/SimpleNotificationService-{number:x}.pem"))
    assert len(site.asked) == 1001
    assert len(site.keyring._entries) == 256
    assert isinstance(site.keyring.find(NAME), PublicKey)


async def test_a_request_waits_for_a_moment_only_and_the_fetch_goes_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventroute_receiver.keyring.WAIT_S", 0.01)
    opened = asyncio.Event()
    site.gate = opened.wait
    await site.keyring.want(SNS, NAME)
    assert site.keyring.find(NAME) is None
    opened.set()
    await site.keyring.want(SNS, NAME)
    assert isinstance(site.keyring.find(NAME), PublicKey)
    assert len(site.asked) == 1


# --- in the background ------------------------------------------------------------------------------------------------


async def test_a_set_of_keys_that_a_route_needs_is_there_before_anybody_asks(site: Site) -> None:
    site.needed = (PUBSUB, SNS, SCHEMES["github"])
    await site.look()
    assert isinstance(site.keyring.find(GOOGLE), PublicKey)
    assert site.asked == [GOOGLE.url]


async def test_a_key_in_use_is_fetched_anew_when_its_server_says(site: Site) -> None:
    await site.keyring.want(PUBSUB, GOOGLE)
    site.now += 19_999
    await site.look()
    assert len(site.asked) == 1
    site.now += 1
    site.documents[GOOGLE.url] = Document(key_set("newer"), None)
    await site.look()
    assert len(site.asked) == 2
    assert isinstance(site.keyring.find(KeyName(GOOGLE.url, "newer")), PublicKey)
    assert site.keyring.find(GOOGLE) is Absent.ABSENT  # its provider has taken it back


@pytest.mark.parametrize(("says_s", "fresh_s"), [(None, 3600), (0, 60), (-5, 60), (10**9, DAY), (7200, 7200)])
async def test_freshness_has_bounds(site: Site, says_s: float | None, fresh_s: float) -> None:
    site.documents[NAME.url] = Document(certificate(), says_s)
    await site.keyring.want(SNS, NAME)
    site.now += fresh_s - 1
    await site.look()
    assert len(site.asked) == 1
    site.now += 1
    await site.look()
    assert len(site.asked) == 2


async def test_a_provider_that_is_away_costs_no_key_for_a_day(site: Site) -> None:
    await site.keyring.want(SNS, NAME)
    site.documents[NAME.url] = RetryLater("no route")
    for _ in range(25):
        site.now += 3600
        await site.look()
        assert isinstance(site.keyring.find(NAME), PublicKey)
    site.now += 3600
    assert site.keyring.find(NAME) is None
    site.documents[NAME.url] = Document(certificate(), None)
    await site.keyring.want(SNS, NAME)
    assert isinstance(site.keyring.find(NAME), PublicKey)


async def test_a_certificate_that_is_gone_is_believed_no_more(site: Site) -> None:
    await site.keyring.want(SNS, NAME)
    site.documents[NAME.url] = None
    site.now += 3600
    await site.look()
    assert site.keyring.find(NAME) is Absent.ABSENT


async def test_what_nobody_uses_is_forgotten(site: Site) -> None:
    await site.keyring.want(SNS, NAME)
    await site.keyring.want(SNS, KeyName(f"{AWS}/SimpleNotificationService-ff.pem"))
    for _ in range(7):
        site.now += DAY
        await site.look()
    assert site.asked.count(NAME.url) == 7  # the first time, and then for as long as somebody might need it
    assert not site.keyring._entries


async def test_a_flood_keeps_no_needed_key_stale(site: Site) -> None:
    await site.keyring.want(SNS, NAME)
    for number in range(100):
        await site.keyring.want(SNS, KeyName(f"{AWS}/SimpleNotificationService-{number:x}.pem"))
    site.now += 3600
    site.keyring._left, site.keyring._left_at = 0.0, site.now
    asked = len(site.asked)
    await site.look()
    assert site.asked[asked:] == [NAME.url]


# --- confirmations ----------------------------------------------------------------------------------------------------

CONFIRM = f"{AWS}/?Action=ConfirmSubscription&Token=secret"


async def test_an_address_is_visited_once(site: Site) -> None:
    site.documents[CONFIRM] = Document(b"<ConfirmSubscriptionResponse/>", None)
    assert [await site.keyring.visit(SNS, CONFIRM) for _ in range(3)] == [True] * 3
    assert site.asked == [CONFIRM]


@pytest.mark.parametrize("found", [RetryLater("no route"), None], ids=str)
async def test_a_visit_that_fails_is_told_without_its_token_and_made_again(
    site: Site, found: RetryLater | None
) -> None:
    site.documents[CONFIRM] = found
    with capture_logs() as logs:
        assert not await site.keyring.visit(SNS, CONFIRM)
    assert "secret" not in str(logs)
    assert logs[0]["url"] == f"{AWS}/"
    site.now += 10
    site.documents[CONFIRM] = Document(b"", None)
    assert await site.keyring.visit(SNS, CONFIRM)


async def test_the_end_of_the_background_work_ends_what_is_under_way(site: Site) -> None:
    site.gate = asyncio.Event().wait
    running = asyncio.create_task(site.keyring.run())
    wanting = asyncio.create_task(site.keyring.want(SNS, NAME))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    (task,) = site.keyring._under_way.values()
    running.cancel()
    await asyncio.wait({running, wanting, task})
    assert task.cancelled()
    assert not site.keyring._under_way
