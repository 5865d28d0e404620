"""The table: one row for each product of each provider. Adding a provider means a row here, and its test vectors.

`docs` names the page or the SDK file that a row was written from.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from eventroute.schemes import derived
from eventroute.schemes.model import HandshakeRule, Match, Scheme
from eventroute.schemes.request import Request, media_type

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR

_ROWS: Final[Sequence[Scheme]] = (
    Scheme(
        name="github",
        docs="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
        signature="header:x-hub-signature-256",
        prefix="sha256=",
        signed=("body",),
        event=("header:x-github-event", "body:action"),
        implies=(
            ("check_run", ("check_run",)),
            ("check_suite", ("check_suite",)),
            ("commit_comment", ("comment",)),
            ("create", ("ref_type",)),
            ("delete", ("ref_type",)),
            ("deployment", ("deployment",)),
            ("deployment_status", ("deployment_status",)),
            ("discussion", ("discussion",)),
            ("discussion_comment", ("discussion", "comment")),
            ("fork", ("forkee",)),
            ("installation", ("installation",)),
            ("issue_comment", ("issue", "comment")),
            ("issues", ("issue",)),
            ("label", ("label",)),
            ("milestone", ("milestone",)),
            ("ping", ("zen",)),
            ("pull_request", ("pull_request",)),
            ("pull_request_review", ("pull_request", "review")),
            ("pull_request_review_comment", ("pull_request", "comment")),
            ("push", ("ref", "commits")),
            ("release", ("release",)),
            ("status", ("sha", "state")),
            ("workflow_job", ("workflow_job",)),
            ("workflow_run", ("workflow_run",)),
        ),
        ignored_events=("ping",),
        id=("header:x-github-delivery",),
        dedup_ttl_s=4 * _DAY,
        form="payload",
    ),
    Scheme(
        name="stripe",
        docs="https://docs.stripe.com/webhooks#verify-manually",
        signature="header:stripe-signature",
        separator=",",
        prefix="v1=",
        signed=("timestamp", "text:.", "body"),
        timestamp="signature:t",
        tolerance_s=300,
        event=("body:type",),
        id=("body:id",),
        dedup_ttl_s=4 * _DAY,
    ),
    Scheme(
        name="slack",
        docs="https://docs.slack.dev/authentication/verifying-requests-from-slack/",
        signature="header:x-slack-signature",
        prefix="v0=",
        signed=("text:v0:", "timestamp", "text::", "body"),
        timestamp="header:x-slack-request-timestamp",
        tolerance_s=300,
        event=("body:event.type|body:type|body:command",),
        id=("body:event_id",),
        dedup_ttl_s=_HOUR,
        form="payload-or-fields",
        handshake=(
            HandshakeRule(
                when=(Match(source="body:type", equals="url_verification"),),
                echo="challenge=body:challenge",
            ),
        ),
        stop_headers=(("x-slack-no-retry", "1"),),
    ),
    Scheme(
        name="shopify",
        docs="https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        signature="header:x-shopify-hmac-sha256",
        encoding="base64",
        signed=("body",),
        event=("header:x-shopify-topic",),
        id=("header:x-shopify-event-id|header:x-shopify-webhook-id",),
    ),
    Scheme(
        name="hubspot",
        docs="https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
        signature="header:x-hubspot-signature-v3",
        encoding="base64",
        signed=("method", "url", "body", "timestamp"),
        url="hubspot",
        timestamp="header:x-hubspot-request-timestamp",
        timestamp_unit="ms",
        tolerance_s=300,
        event=("item:subscriptionType|item:eventType",),
        # eventId alone is not promised to be unique.
        id=("item:eventId", "item:portalId", "item:subscriptionId", "item:occurredAt"),
        dedup_ttl_s=2 * _DAY,
        batch="body",
    ),
)

SCHEMES: Final[Mapping[str, Scheme]] = MappingProxyType({row.name: row for row in _ROWS})
"""Provider name → row."""


def sensitive_headers(scheme: Scheme) -> frozenset[str]:
    """Name the headers, in lower case, that hold credentials or signatures: of this row, and of every built-in one.

    GitHub, for one, sends the SHA-1 header of its neighbours beside its own.
    """
    return derived.sensitive_headers(scheme, others=_ROWS)


def accepts(scheme: Scheme, request: Request) -> bool:
    """Whether the body's media type is one that the scheme reads; answer 415 otherwise."""
    media = media_type(request.fields)
    return media == "json" or (media == "form" and scheme.form != "refused")
