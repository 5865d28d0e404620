"""A route that waits for an event which its provider never sends is told so, with the name that was probably meant."""

from pathlib import Path

import msgspec
import pytest

from eventroute.compile import Severity
from eventroute.event_names import EventNames
from eventroute.schemes import SCHEMES
from eventroute_cli.findings import Finding, examine
from eventroute_cli.samples import sample_events

ROOT = Path(__file__).parents[3]
ROUTE = """apiVersion: eventroute.dev/v1alpha1
kind: EventRoute
metadata: {{name: triage, namespace: team-a}}
spec:
  provider: {provider}
  secretRefs: [{{name: hook, key: secret}}]
  publicURL: https://hooks.example.com/hooks/team-a/triage
  prompts:
    - events:
        - "{first}"
        - "{second}"
"""


def warned(folder: Path, provider: str, first: str, second: str = "*") -> list[Finding]:
    """What lint says of the events."""
    file = folder / "route.yaml"
    file.write_text(ROUTE.format(provider=provider, first=first, second=second))
    return [one for one in examine([file], with_secrets=False).findings if one.reason != "SecretNotFound"]


def test_a_name_that_nobody_sends_is_a_warning_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    (finding,) = warned(tmp_path, "github", "issues.opened", "pull-request")
    assert (finding.line, finding.severity, finding.reason) == (11, Severity.WARNING, "UnknownEvent")
    assert finding.field == "spec.prompts[0].events[1]"
    assert finding.message.startswith("route team-a/triage: prompts[0].events[1]: no event of github known on 20")
    assert finding.message.endswith(' is called "pull-request"; did you mean "pull_request"?')


def test_such_a_route_is_served(tmp_path: Path) -> None:
    file = tmp_path / "route.yaml"
    file.write_text(ROUTE.format(provider="github", first="pull-request", second="push.created"))
    assert examine([file], with_secrets=False).errors == 0


@pytest.mark.parametrize(
    ("provider", "written", "meant"),
    [
        ("github", "Pull_Request.opened", "pull_request.opened"),  # another case
        ("github", "pullrequest", "pull_request"),
        ("github", "pull_request_opened", "pull_request.opened"),  # other separators
        ("github", "Pull-Request.*", "pull_request.*"),
        ("github", "issue.created", "issues"),
        ("github", "pull_request.create", "pull_request"),  # there is no such action, and it is not "edited"
        ("github", "push.created", "push"),  # it has no actions
        ("github", "*.openned", "*.opened"),
        ("github-sha1", "workflow_run.complete", "workflow_run.completed"),
        ("gitlab", "merge_request.opened", "merge_request.open"),
        ("gitlab-token", "pipeline.failed", "pipeline"),
        ("stripe", "payment_failed", "invoice.payment_failed"),
        ("stripe", "invoice.payment.failed", "invoice.payment_failed"),
        ("shopify", "ORDERS_CREATE", "orders/create"),
        ("shopify", "order/create", "orders/create"),
        ("slack", "message.channels", "message"),  # how it is subscribed to, not how it comes
        ("hubspot", "contact.created", "contact.creation"),
        ("linear", "issue.created", "Issue.create"),
        ("pagerduty", "incident.trigger", "incident.triggered"),
        ("sentry", "issues.created", "issue.created"),
        ("gitea", "pull_request.synchronize", "pull_request.synchronized"),  # as GitHub calls it
        ("vercel", "deployment.failed", "deployment"),
        ("circleci", "workflow_completed", "workflow-completed"),
        ("lemonsqueezy", "order.created", "order_created"),
        ("calendly", "invitee.cancelled", "invitee.canceled"),
        ("discord", "entitlement_create", "ENTITLEMENT_CREATE"),
        ("paddle", "transaction.complete", "transaction.completed"),
        ("resend", "email.bounce", "email.bounced"),
    ],
)
def test_the_name_that_was_meant_is_proposed(tmp_path: Path, provider: str, written: str, meant: str) -> None:
    (finding,) = warned(tmp_path, provider, written)
    assert finding.message.endswith(f' is called "{written}"; did you mean "{meant}"?')
    assert warned(tmp_path, provider, meant) == []


def test_where_nothing_is_alike_nothing_is_proposed(tmp_path: Path) -> None:
    (finding,) = warned(tmp_path, "github", "zzz")
    assert finding.message.endswith(' is called "zzz"')


@pytest.mark.parametrize(
    ("provider", "pattern"),
    [
        ("github", "*"),
        ("github", "pull_request"),  # any action of it
        ("github", "pull_request.*"),
        ("github", "pull_*.opened"),
        ("github", "*.opened"),
        ("github", "ping"),
        ("github", "repository_dispatch.deploy"),  # its actions are the user's own
        ("github", "repository_dispatch.de*"),
        ("stripe", "customer.subscription"),
        ("shopify", "orders/*"),
        ("slack", "/any-command"),  # the same
        ("slack", "/an*"),
    ],
)
def test_a_pattern_for_at_least_one_event_is_fine(tmp_path: Path, provider: str, pattern: str) -> None:
    assert warned(tmp_path, provider, pattern) == []


@pytest.mark.parametrize("provider", ["twilio", "generic", "grafana", "zendesk"])
def test_of_a_provider_without_a_list_every_name_is_fine(tmp_path: Path, provider: str) -> None:
    assert warned(tmp_path, provider, "zzz") == []


@pytest.mark.parametrize("provider", [name for name in SCHEMES if EventNames.load().of(name)])
def test_what_our_own_samples_send_is_known(provider: str) -> None:
    listing = EventNames.load().of(provider)
    assert listing is not None
    set_up = ["ping"] if provider == "discord" else []  # which has no name there, only the number 0
    assert [event for event in sample_events(provider) if not listing.sends(event)] == set_up


def test_each_listing_is_of_rows_of_its_own_sorted_and_says_where_and_when_it_was_read() -> None:
    data = (ROOT / "services/core/src/eventroute/schemes/events.json").read_bytes()
    listings = msgspec.json.decode(data, type=dict[str, dict[str, object]])
    rows = [row for listing in listings.values() for row in msgspec.convert(listing["rows"], list[str])]
    assert sorted(rows) == sorted(set(rows))
    assert set(rows) <= SCHEMES.keys()
    for name, listing in listings.items():
        assert name in msgspec.convert(listing["rows"], list[str])
        assert str(listing["source"]).startswith("https://")
        events = msgspec.convert(listing["events"], list[str])
        assert events == sorted(set(events)), name
