"""What holds for every row of the table: it is sound, it travels, and what it signs it accepts and reads."""

import msgspec
import pytest

from eventroute.outcome import Refusal
from eventroute.schemes import (
    SCHEMES,
    Events,
    Rejected,
    Scheme,
    Strength,
    Verified,
    generate_secret,
    lint_key,
    lint_scheme,
    needs_public_url,
    parse_key,
    read,
    sensitive_headers,
    strength,
    verify,
)
from support.providers import ALL_ROWS, NOW, ROWS, SECRET_ROWS, send, signature_header

every_row = pytest.mark.parametrize("scheme", ROWS, ids=lambda row: row.name)
every_row_with_a_secret = pytest.mark.parametrize("scheme", SECRET_ROWS, ids=lambda row: row.name)


@pytest.mark.parametrize("scheme", ALL_ROWS, ids=lambda row: row.name)
def test_a_row_keeps_the_rules(scheme: Scheme) -> None:
    assert lint_scheme(scheme) == []


@pytest.mark.parametrize("scheme", [row for row in ALL_ROWS if row.kind != "none"], ids=lambda row: row.name)
def test_a_row_names_its_source(scheme: Scheme) -> None:
    assert scheme.docs.startswith("https://")


@pytest.mark.parametrize("scheme", ALL_ROWS, ids=lambda row: row.name)
def test_a_row_survives_the_way_to_the_receiver(scheme: Scheme) -> None:
    assert msgspec.json.decode(msgspec.json.encode(scheme), type=Scheme) == scheme
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(scheme), type=Scheme) == scheme


@every_row
def test_what_a_row_signs_it_accepts_and_reads(scheme: Scheme) -> None:
    sent = send(scheme, event="alpha", delivery="delivery-1")
    assert verify(scheme, sent.request, [sent.key], NOW) == Verified(0, strength(scheme))
    events = read(scheme, sent.request, decode=True)
    assert isinstance(events, Events)
    assert len(events.items) == 1
    event = events.items[0]
    assert event.type == "alpha" or event.type.startswith("alpha.") or not scheme.event
    assert msgspec.json.decode(event.payload) == event.value
    if scheme.id:
        assert event.id is not None
        assert event.id.startswith("delivery-1")


@every_row_with_a_secret
def test_of_two_secrets_the_matching_one_is_reported(scheme: Scheme) -> None:
    current, previous = generate_secret(scheme), generate_secret(scheme)
    keys = [parse_key(scheme, pair.configured) for pair in (current, previous)]
    for index, pair in enumerate((current, previous)):
        verdict = verify(scheme, send(scheme, pair=pair).request, keys, NOW)
        assert verdict == Verified(index, strength(scheme))


@every_row_with_a_secret
def test_of_two_equal_secrets_the_first_is_reported(scheme: Scheme) -> None:
    sent = send(scheme)
    assert verify(scheme, sent.request, [sent.key, sent.key], NOW) == Verified(0, strength(scheme))


@every_row_with_a_secret
def test_a_secret_that_was_taken_away_is_refused(scheme: Scheme) -> None:
    sent = send(scheme)
    other = parse_key(scheme, generate_secret(scheme).configured)
    assert verify(scheme, sent.request, [other], NOW) == Rejected(Refusal.MISMATCH)
    assert verify(scheme, sent.request, [], NOW) == Rejected(Refusal.MISMATCH)


@every_row_with_a_secret
def test_a_generated_secret_passes_the_lint(scheme: Scheme) -> None:
    assert lint_key(scheme, generate_secret(scheme).configured) is None


@every_row_with_a_secret
def test_the_signature_is_a_header_that_nobody_stores(scheme: Scheme) -> None:
    header = signature_header(scheme).decode()
    assert not header or header in sensitive_headers(scheme)
    assert {"authorization", "cookie"} <= sensitive_headers(scheme)


def test_a_neighbours_signature_header_is_not_stored_either() -> None:
    assert "x-hub-signature" in sensitive_headers(SCHEMES["github"])
    assert "x-hubspot-signature" in sensitive_headers(SCHEMES["hubspot"])


def test_only_a_covered_body_counts_as_verified() -> None:
    weaker = {row.name: strength(row) for row in ALL_ROWS if strength(row) is not Strength.VERIFIED}
    assert weaker == {
        "adyen": Strength.AUTHENTICATED,
        "alertmanager": Strength.AUTHENTICATED,
        "aws-sns": Strength.AUTHENTICATED,
        "aws-sns-sha1": Strength.AUTHENTICATED,
        "alertmanager-basic": Strength.AUTHENTICATED,
        "cloudevents": Strength.AUTHENTICATED,
        "cloudevents-basic": Strength.AUTHENTICATED,
        "cloudevents-batch": Strength.AUTHENTICATED,
        "generic-token": Strength.AUTHENTICATED,
        "gitlab-token": Strength.AUTHENTICATED,
        "google-pubsub": Strength.AUTHENTICATED,
        "mailgun": Strength.AUTHENTICATED,
        "microsoft-graph": Strength.AUTHENTICATED,
        "none": Strength.OPEN,
        "okta": Strength.AUTHENTICATED,
        "strava": Strength.OPEN,
    }


def test_the_rows_that_sign_the_url_are_known() -> None:
    assert {row.name for row in ALL_ROWS if needs_public_url(row)} == {
        "hubspot",
        "hubspot-v2",
        "square",
        "trello",
        "twilio",
        "twilio-sha256",
    }


@pytest.mark.parametrize("scheme", ALL_ROWS, ids=lambda row: row.name)
def test_a_claim_outlives_the_window_in_which_a_repetition_is_fresh(scheme: Scheme) -> None:
    assert scheme.dedup_ttl_s >= (scheme.tolerance_s or 0) + scheme.retry_window_s


@pytest.mark.parametrize("scheme", [row for row in ROWS if row.tolerance_s], ids=lambda row: row.name)
def test_the_last_attempt_that_a_provider_makes_is_not_too_old(scheme: Scheme) -> None:
    sent = send(scheme)
    age_s = 0 if scheme.restamped else scheme.retry_window_s
    assert isinstance(verify(scheme, sent.request, [sent.key], NOW + age_s), Verified)


def test_the_retry_windows_of_providers_that_stamp_once_are_known() -> None:
    stamped_once = {row.name: row.retry_window_s for row in ALL_ROWS if row.tolerance_s and not row.restamped}
    assert stamped_once == {
        "aws-sns": 3600,
        "aws-sns-sha1": 3600,
        "calendly": 86_400,
        "discord": 600,
        "grafana-timestamp": 0,
        "linear": 25_260,
        "mailgun": 29_100,
        "mux": 86_400,
        "sanity": 60,
        "sendgrid": 86_400,
        "zendesk": 0,
        "zoom": 5_100,
    }


def test_every_success_code_is_one_that_senders_take() -> None:
    assert {row.success_status for row in ALL_ROWS} == {200, 202, 204}


def test_how_old_a_request_may_be_and_how_long_it_is_remembered_is_known_of_every_row() -> None:
    """In seconds; what a provider's page says of its tries is why, and a change here changes what senders hear."""
    known: dict[tuple[float | None, int], set[str]] = {}
    for row in ALL_ROWS:
        known.setdefault((row.tolerance_s, row.dedup_ttl_s), set()).add(row.name)
    a_day_unstamped = known.pop((None, 86_400))
    assert len(a_day_unstamped) > 20
    assert known == {
        (5, 345_600): {"paddle"},
        (300, 7_200): {"slack"},
        (300, 14_400): {"grafana-timestamp"},
        (300, 86_400): {"sanity"},
        (300, 172_800): {"hubspot"},
        (300, 345_600): {
            "anthropic",
            "clerk",
            "gitlab",
            "openai",
            "resend",
            "standard-webhooks",
            "standard-webhooks-ed25519",
            "stripe",
            "svix",
        },
        (900, 7_200): {"discord"},
        (3600, 86_400): {"zendesk"},
        (3900, 86_400): {"aws-sns", "aws-sns-sha1"},
        (7200, 86_400): {"zoom"},
        (28800, 86_400): {"linear"},
        (32400, 86_400): {"mailgun"},
        (86400, 172_800): {"calendly", "mux", "sendgrid"},
        (None, 14_400): {"alertmanager", "alertmanager-basic", "grafana"},
        (None, 172_800): {
            "circleci",
            "gitlab-token",
            "hubspot-v1",
            "hubspot-v2",
            "pagerduty",
            "razorpay",
            "square",
            "vercel",
        },
        (None, 345_600): {"github", "github-sha1"},
        (None, 691_200): {"adyen", "google-pubsub", "meta"},
    }
