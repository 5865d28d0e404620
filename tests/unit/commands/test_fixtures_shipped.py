"""The fixtures of the repository: recorded once, signed again here, and still understood."""

from pathlib import Path

import pytest

from eventroute.schemes import SCHEMES, Events, Request, Unparsable, Verified, generate_secret, parse_key, read, verify
from eventroute_cli.fixtures import Recorded, read_fixtures
from eventroute_cli.replay import resign

FIXTURES = Path(__file__).parents[2] / "data" / "fixtures"
FILES = sorted(FIXTURES.glob("*.json"))
NOW = 1_800_000_000.0
EVENTS = {
    "alertmanager-checkouterrors-firing": ["CheckoutErrors.firing", "CheckoutErrors.firing"],
    "clerk-user-created": ["user.created"],
    "discord-application-authorized": ["APPLICATION_AUTHORIZED"],
    "generic-not-utf8": None,
    "github-pull-request-opened": ["pull_request.opened"],
    "hubspot-contact-creation": ["contact.creation", "contact.creation", "contact.propertyChange"],
    "mailgun-failed": ["failed"],
    "sendgrid-bounce": ["bounce", "delivered"],
    "slack-block-actions": ["block_actions"],
    "slack-triage": ["/triage"],
    "stripe-invoice-payment-failed": ["invoice.payment_failed"],
    "twilio-received": ["received"],
}
"""What each of them says; None = verified, and not readable."""
CASES = [
    (file.stem, fresh) for file in FILES for fresh in (False, True) if not (fresh and EVENTS.get(file.stem) is None)
]
"""Only a readable body can be given a new id."""


@pytest.mark.parametrize(("file", "fresh"), CASES, ids=str)
def test_a_recorded_webhook_signed_again_is_genuine_and_says_the_same(file: str, *, fresh: bool) -> None:
    (entry,) = read_fixtures(FIXTURES / f"{file}.json")
    assert isinstance(entry, Recorded)
    scheme = SCHEMES[entry.provider]
    pair = generate_secret(scheme)
    signed = resign(entry, scheme, secret=pair.signing, url="https://hooks.example.com/x", now=NOW, fresh=fresh)
    request = Request(method=signed.method, url=signed.url, headers=signed.headers, body=signed.body)
    assert isinstance(verify(scheme, request, [parse_key(scheme, pair.configured)], NOW), Verified)
    outcome = read(scheme, request)
    assert isinstance(outcome, Events | Unparsable)
    assert ([event.type for event in outcome.items] if isinstance(outcome, Events) else None) == EVENTS[entry.id]


@pytest.mark.parametrize("file", ["github-pull-request-opened", "stripe-invoice-payment-failed"])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_fresh_replay_is_another_delivery_and_a_plain_one_the_same(file: str, *, fresh: bool) -> None:
    (entry,) = read_fixtures(FIXTURES / f"{file}.json")
    assert isinstance(entry, Recorded)
    scheme = SCHEMES[entry.provider]
    signed = resign(entry, scheme, secret=b"a-secret-of-the-route", url="", now=NOW, fresh=fresh)
    before, after = read(scheme, entry.request()), read(scheme, signed)
    assert isinstance(before, Events)
    assert isinstance(after, Events)
    assert (before.items[0].id == after.items[0].id) is not fresh


def test_every_fixture_is_named_here() -> None:
    assert [file.stem for file in FILES] == sorted(EVENTS)
