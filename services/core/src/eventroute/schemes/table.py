"""The table: one row for each product of each provider. Adding a provider means a row here, and its test vectors.

`docs` names the page or the SDK file that a row was written from.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from eventroute.schemes import derived
from eventroute.schemes.model import HandshakeRule, Match, Reply, Scheme
from eventroute.schemes.request import Request, media_type

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_MIB: Final = 1 << 20

_GITHUB: Final = Scheme(
    name="github",
    docs="https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries",
    signature="header:x-hub-signature-256",
    prefix="sha256=",
    signed=("body",),
    event=("header:x-github-event", "body:action"),
    implies=(
        ("check_run", ("check_run",)),
        ("check_suite", ("check_suite",)),
        ("code_scanning_alert", ("alert",)),
        ("commit_comment", ("comment",)),
        ("create", ("ref_type",)),
        ("delete", ("ref_type",)),
        ("dependabot_alert", ("alert",)),
        ("deployment", ("deployment",)),
        ("deployment_status", ("deployment_status",)),
        ("discussion", ("discussion",)),
        ("discussion_comment", ("discussion", "comment")),
        ("fork", ("forkee",)),
        ("installation", ("installation",)),
        ("issue_comment", ("issue", "comment")),
        ("issues", ("issue",)),
        ("label", ("label",)),
        ("merge_group", ("merge_group",)),
        ("milestone", ("milestone",)),
        ("ping", ("zen",)),
        ("pull_request", ("pull_request",)),
        ("pull_request_review", ("pull_request", "review")),
        ("pull_request_review_comment", ("pull_request", "comment")),
        ("push", ("ref", "commits")),
        ("release", ("release",)),
        ("status", ("sha", "state")),
        ("workflow_dispatch", ("workflow",)),
        ("workflow_job", ("workflow_job",)),
        ("workflow_run", ("workflow_run",)),
    ),
    ignored_events=("ping",),
    actor=("body:sender.login", "body:sender.id"),
    id=("header:x-github-delivery",),
    retry_window_s=3 * _DAY,  # by hand or by its API: docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks
    dedup_ttl_s=4 * _DAY,
    max_body_bytes=25 * _MIB,  # https://docs.github.com/en/webhooks/webhook-events-and-payloads#payload-cap
    form="payload",
    patience_s=8,  # of 10 s; it sends nothing again by itself: docs.github.com, "Handling failed webhook deliveries"
)

_HUBSPOT: Final = Scheme(
    name="hubspot",
    docs="https://developers.hubspot.com/docs/guides/apps/authentication/validating-requests",
    signature="header:x-hubspot-signature-v3",
    encoding="base64",
    signed=("method", "url", "body", "timestamp"),
    url="hubspot",
    timestamp="header:x-hubspot-request-timestamp",
    timestamp_unit="ms",
    tolerance_s=300,  # its own rule, which repetitions could not keep if they were not stamped anew
    restamped=True,
    retry_window_s=_DAY,  # https://developers.hubspot.com/docs/api/webhooks#retries
    event=("item:subscriptionType|item:eventType",),
    # eventId alone is not promised to be unique.
    id=("item:eventId", "item:portalId", "item:subscriptionId", "item:occurredAt"),
    dedup_ttl_s=2 * _DAY,
    batch="body",
)

_STANDARD_WEBHOOKS: Final = Scheme(
    name="standard-webhooks",
    docs="https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md",
    signature="header:webhook-signature",
    separator=" ",
    prefix="v1,",
    encoding="base64",
    key="whsec",
    signed=("header:webhook-id", "text:.", "timestamp", "text:.", "body"),
    timestamp="header:webhook-timestamp",
    tolerance_s=300,
    restamped=True,
    retry_window_s=76 * _HOUR,  # of the specification's example
    event=("body:type",),
    id=("header:webhook-id",),
    dedup_ttl_s=4 * _DAY,
)

# Svix lets its customers choose between its own header names and the neutral ones.
_SVIX_ID: Final = "header:svix-id|header:webhook-id"
_SVIX: Final = replace(
    _STANDARD_WEBHOOKS,
    name="svix",
    docs="https://docs.svix.com/receiving/verifying-payloads/how-manual",
    signature="header:svix-signature|header:webhook-signature",
    signed=(_SVIX_ID, "text:.", "timestamp", "text:.", "body"),
    timestamp="header:svix-timestamp|header:webhook-timestamp",
    id=(_SVIX_ID,),
    stop_headers=(("webhook-delivery", "abort-message"),),
)

_GITLAB_TOKEN: Final = Scheme(
    name="gitlab-token",
    docs="https://docs.gitlab.com/user/project/integrations/webhooks/#validate-payloads-by-using-a-secret-token",
    kind="token",
    signature="header:x-gitlab-token",
    event=("body:object_kind|body:event_name", "body:object_attributes.action|body:action"),
    actor=("body:user.username|body:user_username", "body:user.id|body:user_id"),
    # Not X-Gitlab-Event-UUID: the events that one webhook call triggers share it.
    id=("header:idempotency-key|header:webhook-id",),
    dedup_ttl_s=2 * _DAY,
    max_body_bytes=25 * _MIB,  # https://gitlab.com/gitlab-org/gitlab/-/merge_requests/38687
)

_TWILIO: Final = Scheme(
    name="twilio",
    docs="https://www.twilio.com/docs/usage/security#validating-requests",
    signature="header:x-twilio-signature",
    encoding="base64",
    digest="sha1",
    legacy_digest=True,
    signed=("url", "twilio-body"),
    url="any-port",
    event=("item:EventType|item:MessageStatus|item:SmsStatus|item:CallStatus|item:type",),
    id=("item:id|header:i-twilio-idempotency-token",),
    retry_window_s=4 * _HOUR,  # of Event Streams: https://www.twilio.com/docs/events/event-delivery-and-duplication
    batch="body",  # Event Streams send a list; a form is one item
    form="fields",
    patience_s=10,  # of 15 s; it tries again where it could not connect, not after an answer
    # https://www.twilio.com/docs/api/errors/12300: whoever calls or writes is answered by TwiML, here by none
    replies=(Reply(form=True, media_type="text/xml", body="<Response/>"),),
)

# Sent again while an alert fires: the id holds its status and start, and lives for the default repeat interval.
_GRAFANA: Final = Scheme(
    name="grafana",
    docs="https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/",
    signature="header:x-grafana-alerting-signature",
    signed=("body",),
    event=("item:labels.alertname", "item:status"),
    id=("item:fingerprint", "item:status", "item:startsAt", "body:groupKey"),
    dedup_ttl_s=4 * _HOUR,
    batch="body:alerts",
)

_ALERTMANAGER: Final = replace(
    _GRAFANA,
    name="alertmanager",
    docs="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
    kind="token",
    signature="header:authorization",
    prefix="Bearer ",
    signed=(),
)

_CLOUDEVENTS: Final = Scheme(
    name="cloudevents",
    docs="https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md",
    kind="token",
    signature="header:authorization",
    prefix="Bearer ",
    event=("header:ce-type|body:type",),
    id=("header:ce-id|body:id", "header:ce-source|body:source"),
    document="any",
    handshake=(HandshakeRule(method="OPTIONS", allowed_origins=("eventgrid.azure.net",)),),
    success_status=202,
)

_SNS: Final = r"https://sns\.[a-z0-9-]{3,32}\.amazonaws\.com(\.cn)?"
# Since a topic signs with SHA-1 unless it is told otherwise, `aws-sns-sha1` takes both, and this row what is sound.
_AWS_SNS: Final = Scheme(
    name="aws-sns",
    docs="https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html",
    kind="certificate",
    signature="body:Signature",
    encoding="base64",
    key="topic",
    keys_at=_SNS + r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem",
    signed=("sns-body",),
    covers_body=False,  # MessageAttributes and the addresses are not signed
    timestamp="body:Timestamp",
    timestamp_unit="rfc3339",
    # https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html: retries end within 3,600 s
    retry_window_s=_HOUR,
    tolerance_s=_HOUR + 5 * _MINUTE,
    event=("body:Type",),
    ignored_events=("UnsubscribeConfirmation",),  # to visit its SubscribeURL would undo what somebody has done
    id=("body:MessageId",),
    form="text",
    inner="text:Message",
    handshake=(
        HandshakeRule(
            when=(Match(source="body:Type", equals="SubscriptionConfirmation"),),
            visit="body:SubscribeURL",
            visit_at=_SNS + r"/\?Action=ConfirmSubscription&[!-~]{1,2048}",
        ),
    ),
)

# As WebSub sets subscriptions up: the token shows who asks, and the challenge is sent back.
_HUB: Final = HandshakeRule(
    method="GET",
    when=(
        Match(source="query:hub.mode", equals="subscribe"),
        Match(source="query:hub.verify_token", verify_token=True),
    ),
)

_ADYEN_ITEM: Final = "body:notificationItems.[].NotificationRequestItem"  # always exactly one

_GENERIC: Final = Scheme(
    name="generic",
    docs="https://datatracker.ietf.org/doc/html/rfc2104",
    signature="header:x-signature-256",
    prefix="sha256=",
    signed=("body",),
    event=("body:type",),
    id=("body:id",),  # inside the signed bytes: an id in a header could be changed
    document="any",
    success_status=202,
)

_ROWS: Final[Sequence[Scheme]] = (
    _GITHUB,
    replace(
        _GITHUB,
        name="github-sha1",
        signature="header:x-hub-signature",
        prefix="sha1=",
        digest="sha1",
        legacy_digest=True,
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
        restamped=True,  # docs.stripe.com/webhooks: "a new signature and timestamp for the new delivery attempt"
        retry_window_s=3 * _DAY,
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
        tolerance_s=300,  # its own rule, which the last repetition could not keep if it were not stamped anew
        restamped=True,
        retry_window_s=6 * _MINUTE,  # https://docs.slack.dev/apis/events-api/#retries: at once, 1 min, 5 min
        event=("body:event.type|body:type|body:command",),
        # A message that was changed or answered stands within the event; the bot's user causes everything else.
        actor=(
            "body:event.bot_id|body:event.message.bot_id",
            "body:event.app_id|body:event.message.app_id",
            "body:event.user",
        ),
        id=("body:event_id",),
        dedup_ttl_s=2 * _HOUR,
        form="payload-or-fields",
        handshake=(
            HandshakeRule(
                when=(Match(source="body:type", equals="url_verification"),),
                echo="challenge=body:challenge",
            ),
        ),
        # https://docs.slack.dev/interactivity/handling-user-interaction: to a command, a button or a modal the body is
        # an answer, which Slack shows or fails on.
        replies=(Reply(form=True),),
        stop_headers=(("x-slack-no-retry", "1"),),
    ),
    Scheme(
        name="shopify",
        docs="https://shopify.dev/docs/apps/build/webhooks/subscribe/https",
        signature="header:x-shopify-hmac-sha256",
        encoding="base64",
        signed=("body",),
        event=("header:x-shopify-topic",),
        retry_window_s=4 * _HOUR,  # https://shopify.dev/changelog/updates-to-webhook-retry-mechanism
        # One event reaches each subscription under its own Webhook-Id, so Event-Id means "run once". Several topics
        # share it when one action of a merchant causes them all: an order that is created and paid at once.
        id=("header:x-shopify-event-id|header:x-shopify-webhook-id", "header:x-shopify-topic"),
    ),
    Scheme(
        name="shopify-events",
        docs="https://shopify.dev/docs/apps/build/events/verify-deliveries",
        signature="header:shopify-hmac-sha256",
        encoding="base64",
        signed=("body",),
        event=("header:shopify-topic",),
        retry_window_s=4 * _HOUR,
        id=("header:shopify-webhook-id",),
    ),
    _HUBSPOT,
    replace(
        _HUBSPOT,
        name="hubspot-v1",
        docs="https://developers.hubspot.com/docs/faq/v1-request-validation",
        kind="hash",
        signature="header:x-hubspot-signature",
        encoding="hex",
        signed=("body",),
        timestamp="",
        tolerance_s=None,
    ),
    replace(
        _HUBSPOT,
        name="hubspot-v2",
        docs="https://developers.hubspot.com/docs/faq/v2-request-validation",
        kind="hash",
        signature="header:x-hubspot-signature",
        encoding="hex",
        signed=("method", "url", "body"),
        url="exact",
        timestamp="",
        tolerance_s=None,
    ),
    replace(
        _STANDARD_WEBHOOKS,
        name="gitlab",
        docs="https://docs.gitlab.com/user/project/integrations/webhooks/",
        event=_GITLAB_TOKEN.event,
        actor=_GITLAB_TOKEN.actor,
        max_body_bytes=_GITLAB_TOKEN.max_body_bytes,
    ),
    _GITLAB_TOKEN,
    Scheme(
        name="bitbucket",
        docs="https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/",
        signature="header:x-hub-signature",
        prefix="sha256=",
        signed=("body",),
        event=("header:x-event-key",),
        ignored_events=("diagnostics:ping",),  # the test button of Bitbucket Data Center
        actor=("body:actor.uuid", "body:actor.account_id", "body:actor.name"),  # the last one of Data Center
        id=("header:x-request-uuid|header:x-request-id",),
    ),
    Scheme(
        name="jira",
        docs="https://developer.atlassian.com/cloud/jira/platform/webhooks/",
        signature="header:x-hub-signature",
        prefix="sha256=",
        signed=("body",),
        event=("body:webhookEvent",),
        actor=(
            "body:user.accountId|body:comment.updateAuthor.accountId|body:comment.author.accountId",
            "body:user.name",  # of Data Center
        ),
        retry_window_s=75 * _MINUTE,  # five, 5 to 15 min apart
        max_body_bytes=25 * _MIB,
        id=("header:x-atlassian-webhook-identifier",),
    ),
    Scheme(
        name="linear",
        docs="https://linear.app/developers/webhooks#securing-webhooks",
        signature="header:linear-signature",
        signed=("body",),
        timestamp="body:webhookTimestamp",
        timestamp_unit="ms",
        # The stamp is of the body, and a repetition has the same body: https://linear.app/developers/webhooks sends it
        # again after 1 min, 1 h and 6 h. Its SDK allows 60 s.
        tolerance_s=8 * _HOUR,
        retry_window_s=7 * _HOUR + _MINUTE,
        event=("body:type", "body:action"),
        actor=("body:actor.id",),
        id=("header:linear-delivery",),
    ),
    _TWILIO,
    replace(_TWILIO, name="twilio-sha256", digest="sha256", legacy_digest=False),
    Scheme(
        name="sendgrid",
        docs="https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features",
        kind="ecdsa-p256",
        signature="header:x-twilio-email-event-webhook-signature",
        encoding="base64",
        key="spki",
        signed=("timestamp", "body"),
        timestamp="header:x-twilio-email-event-webhook-timestamp",
        tolerance_s=_DAY,  # ours; whether a repetition is stamped anew is not documented
        retry_window_s=_DAY,  # https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/troubleshooting
        event=("item:event",),
        id=("item:sg_event_id",),
        dedup_ttl_s=2 * _DAY,
        batch="body",
    ),
    Scheme(
        name="pagerduty",
        docs="https://developer.pagerduty.com/docs/verifying-webhook-signatures",
        signature="header:x-pagerduty-signature",
        separator=",",
        prefix="v1=",
        signed=("body",),
        event=("body:event.event_type",),
        ignored_events=("pagey.ping",),
        actor=("body:event.agent.id",),
        id=("body:event.id",),
        max_body_bytes=2 * _MIB,  # as its SDK, https://github.com/PagerDuty/go-pagerduty/tree/main/webhookv3
        retry_window_s=20 * _MINUTE,  # https://www.svix.com/resources/webhook-reviews/pagerduty-webhook-review
        dedup_ttl_s=2 * _DAY,
    ),
    Scheme(
        name="sentry",
        docs="https://docs.sentry.io/organization/integrations/integration-platform/webhooks/",
        signature="header:sentry-hook-signature",
        signed=("body",),
        event=("header:sentry-hook-resource", "body:action"),
        actor=("body:actor.id",),
        id=("header:request-id",),
    ),
    Scheme(
        name="zendesk",
        docs="https://developer.zendesk.com/documentation/webhooks/verifying/",
        signature="header:x-zendesk-webhook-signature",
        encoding="base64",
        signed=("timestamp", "body"),
        timestamp="header:x-zendesk-webhook-signature-timestamp",
        timestamp_unit="rfc3339",
        tolerance_s=_HOUR,  # ours: it waits for Retry-After, and does not say how often nor whether it stamps anew
        event=("body:type",),
        actor=("body:event.actor.id|body:detail.actor_id",),
        id=("header:x-zendesk-webhook-invocation-id",),
    ),
    Scheme(
        name="intercom",
        docs="https://developers.intercom.com/docs/webhooks/webhook-notifications",
        signature="header:x-hub-signature",
        prefix="sha1=",
        digest="sha1",
        legacy_digest=True,
        signed=("body",),
        event=("body:topic",),
        ignored_events=("ping",),
        id=("body:id",),
        handshake=(HandshakeRule(method="HEAD"),),
    ),
    Scheme(
        name="typeform",
        docs="https://www.typeform.com/developers/webhooks/secure-your-webhooks/",
        signature="header:typeform-signature",
        prefix="sha256=",
        encoding="base64",
        signed=("body",),
        event=("body:event_type",),
        id=("body:event_id",),
        retry_window_s=10 * _HOUR,  # https://www.typeform.com/developers/webhooks/
    ),
    Scheme(
        name="discord",
        docs="https://github.com/discord/discord-api-docs/blob/main/developers/events/webhook-events.mdx",
        kind="ed25519",
        signature="header:x-signature-ed25519",
        key="hex",
        signed=("timestamp", "body"),
        timestamp="header:x-signature-timestamp",
        tolerance_s=15 * _MINUTE,  # whether a repetition is stamped anew is not documented
        retry_window_s=10 * _MINUTE,
        event=("body:event.type|body:type",),
        dedup_ttl_s=2 * _HOUR,
        handshake=(
            HandshakeRule(
                when=(Match(source="body:type", equals="0"),),
                status=204,
                headers=(("content-type", "application/json"),),  # asked for although there is no body
            ),
            HandshakeRule(  # type 1 is a ping among interactions, and an event among webhook events
                when=(Match(source="body:type", equals="1"), Match(source="body:event.type")),
                body='{"type":1}',
            ),
        ),
        success_status=204,
        replies=(Reply(media_type="application/json"),),
    ),
    Scheme(
        name="square",
        docs="https://developer.squareup.com/docs/webhooks/step3validate",
        signature="header:x-square-hmacsha256-signature",
        encoding="base64",
        signed=("url", "body"),
        event=("body:type",),
        id=("body:event_id",),
        retry_window_s=25 * _HOUR,  # https://developer.squareup.com/docs/webhooks/overview
        dedup_ttl_s=2 * _DAY,
    ),
    Scheme(
        name="paddle",
        docs="https://developer.paddle.com/webhooks/signature-verification",
        signature="header:paddle-signature",
        separator=";",
        prefix="h1=",
        signed=("timestamp", "text::", "body"),
        timestamp="signature:ts",
        tolerance_s=5,  # as its SDK, which could not take repetitions if they were not stamped anew; needs a good clock
        restamped=True,
        retry_window_s=3 * _DAY,  # https://developer.paddle.com/webhooks/respond-to-webhooks
        event=("body:event_type",),
        id=("body:event_id",),
        dedup_ttl_s=4 * _DAY,
    ),
    Scheme(
        name="mailgun",
        docs="https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks",
        signature="body:signature.signature",
        signed=("body:signature.timestamp", "body:signature.token"),
        covers_body=False,
        timestamp="body:signature.timestamp",
        # https://help.mailgun.com/hc/en-us/articles/202236504-Webhooks: 10, 10, 15, 30 min, 1, 2, 4 h,
        # all with the first signature
        tolerance_s=9 * _HOUR,
        retry_window_s=8 * _HOUR + 5 * _MINUTE,
        event=("body:event-data.event",),
        id=("body:signature.token",),  # remembering the single-use token is the only protection of the event
    ),
    _STANDARD_WEBHOOKS,
    replace(_STANDARD_WEBHOOKS, name="standard-webhooks-ed25519", kind="ed25519", prefix="v1a,", key="whpk"),
    replace(
        _STANDARD_WEBHOOKS,
        name="openai",
        docs="https://github.com/openai/openai-python/tree/main/src/openai/resources/webhooks",
    ),
    replace(
        _STANDARD_WEBHOOKS,
        name="anthropic",
        docs="https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/resources/beta/webhooks.py",
        event=("body:data.type",),
        id=("body:id",),
    ),
    _SVIX,
    replace(_SVIX, name="clerk", docs="https://clerk.com/docs/webhooks/overview"),
    replace(_SVIX, name="resend", docs="https://resend.com/docs/dashboard/webhooks/verify-webhooks-requests"),
    _GRAFANA,
    replace(
        _GRAFANA,
        name="grafana-timestamp",
        signed=("timestamp", "text::", "body"),
        timestamp="header:x-grafana-alerting-timestamp",
        tolerance_s=300,
    ),
    _ALERTMANAGER,
    replace(_ALERTMANAGER, name="alertmanager-basic", kind="basic", prefix="Basic "),
    _CLOUDEVENTS,
    replace(_CLOUDEVENTS, name="cloudevents-basic", kind="basic", prefix="Basic "),
    replace(
        _CLOUDEVENTS,
        name="cloudevents-batch",
        event=("item:type",),
        id=("item:id", "item:source"),
        document="object",
        batch="body",
    ),
    Scheme(
        name="mux",
        docs="https://www.mux.com/docs/core/verify-webhook-signatures",
        signature="header:mux-signature",
        separator=",",
        prefix="v1=",
        signed=("timestamp", "text:.", "body"),
        timestamp="signature:t",
        tolerance_s=_DAY,  # ours; whether a repetition is stamped anew is not documented
        retry_window_s=_DAY,  # https://www.mux.com/docs/core/listen-for-webhooks
        event=("body:type",),
        id=("body:id",),
        dedup_ttl_s=2 * _DAY,
    ),
    Scheme(
        name="razorpay",
        docs="https://razorpay.com/docs/webhooks/validate-test/",
        signature="header:x-razorpay-signature",
        signed=("body",),
        event=("body:event",),
        id=("header:x-razorpay-event-id",),
        retry_window_s=_DAY,  # https://razorpay.com/docs/webhooks/best-practices
        dedup_ttl_s=2 * _DAY,
    ),
    Scheme(
        name="sanity",
        docs="https://github.com/sanity-io/webhook-toolkit",
        signature="header:sanity-webhook-signature",
        separator=",",
        prefix="v1=",
        encoding="base64url",
        signed=("timestamp", "text:.", "body"),
        timestamp="signature:t",
        timestamp_unit="ms",
        tolerance_s=300,  # ours: its toolkit checks none
        retry_window_s=_MINUTE,  # https://www.sanity.io/docs/changelog: two, 30 s apart, since April 2026
        event=("header:sanity-operation",),
        id=("header:idempotency-key",),
    ),
    Scheme(
        name="x",
        docs="https://docs.x.com/x-api/webhooks/introduction",
        signature="header:x-twitter-webhooks-signature",
        prefix="sha256=",
        encoding="base64",
        signed=("body",),
        event=("body:data.event_type",),  # of the Activity API; the older Account Activity API names none
        handshake=(HandshakeRule(method="GET", proof="response_token=query:crc_token", proof_prefix="sha256="),),
    ),
    Scheme(
        name="meta",  # WhatsApp, Messenger, Instagram, and whatever else the Graph API tells of
        docs="https://developers.facebook.com/docs/graph-api/webhooks/getting-started",
        signature="header:x-hub-signature-256",
        prefix="sha256=",
        signed=("body",),  # as sent, with its \u escapes
        # Entries that hold one change are named by its field; those of Messenger and Instagram's messages name none.
        event=("body:object", "item:changes.[].field"),
        actor=(  # whoever has written, which is the page itself in an echo of what it says
            "item:changes.[].value.messages.[].from|item:messaging.[].sender.id|item:changes.[].value.from.id",
        ),
        # What happens to a message has its id: sent, delivered, read. Where neither stands, equal bodies are copies.
        id=(
            "item:changes.[].value.messages.[].id|item:changes.[].value.statuses.[].id|item:messaging.[].message.mid",
            "item:changes.[].value.statuses.[].status|item:changes.[].field|item:messaging.[].timestamp",
        ),
        batch="body:entry",
        # developers.facebook.com/documentation/business-messaging/whatsapp/webhooks: for 7 days; of others, 36 h
        retry_window_s=7 * _DAY,
        dedup_ttl_s=8 * _DAY,
        max_body_bytes=3 * _MIB,  # the same page
        handshake=(replace(_HUB, echo="query:hub.challenge"),),
    ),
    Scheme(
        name="microsoft-graph",
        docs="https://learn.microsoft.com/graph/change-notifications-delivery-webhooks",
        kind="token",
        signature="item:clientState",
        event=("item:lifecycleEvent|item:changeType",),
        id=("item:id", "item:subscriptionId"),
        alike=True,  # the id is optional, and without one each change in a drive is told in the same words
        retry_window_s=4 * _HOUR,
        batch="body:value",
        handshake=(HandshakeRule(echo="query:validationToken"),),
        success_status=202,  # of its own words for what is queued
    ),
    Scheme(
        name="dropbox",
        docs="https://www.dropbox.com/developers/reference/webhooks",
        signature="header:x-dropbox-signature",
        signed=("body",),
        alike=True,  # each change in one account is told in the same words
        retry_window_s=10 * _MINUTE,
        handshake=(HandshakeRule(method="GET", echo="query:challenge"),),
    ),
    Scheme(
        name="strava",
        docs="https://developers.strava.com/docs/webhooks/",
        kind="none",  # it signs nothing and shows nothing with an event
        event=("body:object_type", "body:aspect_type"),
        actor=("body:owner_id",),
        id=("body:object_id", "body:object_type", "body:aspect_type", "body:event_time", "body:subscription_id"),
        handshake=(replace(_HUB, echo="hub.challenge=query:hub.challenge"),),
    ),
    Scheme(
        name="okta",
        docs="https://developer.okta.com/docs/concepts/event-hooks/",
        kind="token",
        signature="header:authorization",  # the whole value, as it is configured there
        event=("item:eventType",),
        actor=("item:actor.id", "item:actor.alternateId"),
        id=("item:uuid",),
        batch="body:data.events",
        handshake=(HandshakeRule(method="GET", echo="verification=header:x-okta-verification-challenge"),),
    ),
    Scheme(
        name="zoom",
        docs="https://developers.zoom.us/docs/api/webhooks/",
        signature="header:x-zm-signature",
        prefix="v0=",
        signed=("text:v0:", "timestamp", "text::", "body"),
        timestamp="header:x-zm-request-timestamp",
        tolerance_s=2 * _HOUR,  # ours; whether a repetition is stamped anew is not documented
        retry_window_s=85 * _MINUTE,  # https://developers.zoom.us/blog/webhook-delays: after 5, 20 and 60 min
        event=("body:event",),
        actor=("body:payload.operator_id|body:payload.operator",),
        handshake=(
            HandshakeRule(
                when=(Match(source="body:event", equals="endpoint.url_validation"),),
                echo="plainToken=body:payload.plainToken",
                proof="encryptedToken=body:payload.plainToken",
            ),
        ),
    ),
    Scheme(
        name="gitea",  # and Forgejo, which sends the same headers beside its own
        docs="https://github.com/go-gitea/gitea/blob/main/services/webhook/deliver.go",
        signature="header:x-gitea-signature",
        signed=("body",),
        event=("header:x-gitea-event", "body:action"),
        implies=(
            ("create", ("ref_type",)),
            ("delete", ("ref_type",)),
            ("fork", ("forkee",)),
            ("issue_comment", ("issue", "comment")),
            ("issues", ("issue",)),
            ("package", ("package",)),
            ("pull_request", ("pull_request",)),
            ("push", ("ref", "commits")),
            ("release", ("release",)),
            ("status", ("sha", "state")),
            ("wiki", ("page",)),
            ("workflow_job", ("workflow_job",)),
            ("workflow_run", ("workflow_run",)),
        ),
        actor=("body:sender.login", "body:sender.id"),
        id=("header:x-gitea-delivery",),
        # of 5 s, the default of its webhook.DELIVER_TIMEOUT; it sends again by hand alone
        patience_s=3,
    ),
    Scheme(
        name="vercel",
        docs="https://vercel.com/docs/webhooks/webhooks-api",
        signature="header:x-vercel-signature",
        digest="sha1",
        legacy_digest=True,
        signed=("body",),
        event=("body:type",),
        actor=("body:payload.user.id",),
        id=("body:id",),
        dedup_ttl_s=2 * _DAY,  # ours; for how long it sends again is not documented
    ),
    Scheme(
        name="calendly",
        docs="https://developer.calendly.com/api-docs/overview/webhooks/webhook-signatures",
        signature="header:calendly-webhook-signature",
        separator=",",
        prefix="v1=",
        signed=("timestamp", "text:.", "body"),
        timestamp="signature:t",
        tolerance_s=_DAY,  # ours; whether a repetition is stamped anew is not documented
        retry_window_s=_DAY,  # https://developer.calendly.com/api-docs/overview/webhooks/webhook-errors
        event=("body:event",),
        id=("body:payload.uri", "body:event", "body:created_at"),  # no id of its own: an invitee is told of twice
        dedup_ttl_s=2 * _DAY,
    ),
    Scheme(
        name="trello",
        docs="https://developer.atlassian.com/cloud/trello/guides/rest-api/webhooks/",
        signature="header:x-trello-webhook",
        encoding="base64",
        digest="sha1",
        legacy_digest=True,
        signed=("body", "url"),
        event=("body:action.type",),
        actor=("body:action.memberCreator.id|body:action.idMemberCreator", "body:action.memberCreator.username"),
        id=("body:action.id",),
        handshake=(HandshakeRule(method="HEAD"),),
        retry_window_s=4 * _MINUTE,  # three, after 30, 60 and 120 s
    ),
    Scheme(
        name="circleci",
        docs="https://circleci.com/docs/guides/integration/outbound-webhooks/",
        signature="header:circleci-signature",
        separator=",",
        prefix="v1=",
        signed=("body",),
        event=("body:type",),
        ignored_events=("ping",),  # its test button
        id=("body:id",),
        dedup_ttl_s=2 * _DAY,  # ours; for how long it sends again is not documented
    ),
    Scheme(
        name="lemonsqueezy",
        docs="https://docs.lemonsqueezy.com/help/webhooks/signing-requests",
        signature="header:x-signature",
        signed=("body",),
        event=("body:meta.event_name",),  # signed, as X-Event-Name is not
        retry_window_s=3 * _MINUTE,  # three: https://docs.lemonsqueezy.com/help/webhooks/webhook-requests
    ),
    Scheme(
        name="adyen",
        docs="https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures",
        signature=f"{_ADYEN_ITEM}.additionalData.hmacSignature",
        encoding="base64",
        key="hex",
        signed=(
            f"{_ADYEN_ITEM}.pspReference",
            "text::",
            f"{_ADYEN_ITEM}.originalReference?",
            "text::",
            f"{_ADYEN_ITEM}.merchantAccountCode?",
            "text::",
            f"{_ADYEN_ITEM}.merchantReference?",
            "text::",
            f"{_ADYEN_ITEM}.amount.value?",
            "text::",
            f"{_ADYEN_ITEM}.amount.currency?",
            "text::",
            f"{_ADYEN_ITEM}.eventCode?",
            "text::",
            f"{_ADYEN_ITEM}.success?",
        ),
        covers_body=False,
        event=(f"{_ADYEN_ITEM}.eventCode",),
        # A payment that failed and then succeeds is told twice.
        id=(f"{_ADYEN_ITEM}.pspReference", f"{_ADYEN_ITEM}.eventCode", f"{_ADYEN_ITEM}.success"),
        retry_window_s=7 * _DAY,
        dedup_ttl_s=8 * _DAY,
        # https://docs.adyen.com/development-resources/webhooks: any 2xx is enough now; older accounts and the test
        # button want to read this.
        replies=(Reply(media_type="text/plain", body="[accepted]"),),
    ),
    _AWS_SNS,
    replace(_AWS_SNS, name="aws-sns-sha1", digest="sha1", legacy_digest=True),
    Scheme(
        name="google-pubsub",
        docs="https://cloud.google.com/pubsub/docs/authenticate-push-subscriptions",
        kind="oidc",
        signature="header:authorization",
        prefix="Bearer ",
        key="account",
        keys_at="https://www.googleapis.com/oauth2/v3/certs",
        issuers=("https://accounts.google.com", "accounts.google.com"),
        # Attributes of a message are its publisher's; these two are Cloud Storage's and CloudEvents'.
        event=("body:message.attributes.eventType|body:message.attributes.ce-type",),
        id=("body:message.messageId", "body:subscription"),  # unique in a topic
        inner="base64:message.data",
        # https://cloud.google.com/pubsub/docs/push: what is not acknowledged comes again until it is no longer kept,
        # 7 days unless the subscription says otherwise
        retry_window_s=7 * _DAY,
        dedup_ttl_s=8 * _DAY,
        max_body_bytes=14 * _MIB,  # a message may have 10 MB, which base64 makes a third longer
    ),
    _GENERIC,
    replace(
        _GENERIC, name="generic-token", kind="token", signature="header:authorization", prefix="Bearer ", signed=()
    ),
    Scheme(
        name="none",
        kind="none",
        event=("body:type",),
        id=("body:id",),
        document="any",
        success_status=202,
    ),
)

SCHEMES: Final[Mapping[str, Scheme]] = MappingProxyType({row.name: row for row in _ROWS})
"""Provider name → row, of all that send requests."""

INSIDE: Final = Scheme(name="eventroute", kind="inside")
"""The row of routes that other routes hand their answers to: nobody sends to it, so it is none of `SCHEMES`."""


def sensitive_headers(scheme: Scheme) -> frozenset[str]:
    """Name the headers, in lower case, that hold credentials or signatures: of this row, and of every built-in one.

    GitHub, for one, sends the SHA-1 header of its neighbours beside its own.
    """
    return derived.sensitive_headers(scheme, others=_ROWS)


def accepts(scheme: Scheme, request: Request) -> bool:
    """Whether the body's media type is one that the scheme reads; answer 415 otherwise."""
    match media_type(request.fields):
        case "json":
            return True
        case "form":
            return scheme.form not in {"refused", "text"}
        case "text":
            return scheme.form == "text"
        case None:
            return False
