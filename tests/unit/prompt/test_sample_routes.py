"""The sample routes meet the sample events: each is accepted, matched, and has every field that its template names."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from eventroute.compile import Compiled, compile_routes
from eventroute.crd.manifest import load_manifests
from eventroute.crd.objects import ObjectKey
from eventroute.crd.v1alpha1 import EventRoute, SecretKeyRef
from eventroute.delivery import Delivery
from eventroute.expression import compile_expression
from eventroute.ids import DeliveryId, RoutePath
from eventroute.outbound import OutboundRules
from eventroute.prompt import Event, prepare
from eventroute.route_table import RouteSink
from eventroute.schemes import SCHEMES, Events, Request, generate_secret, read
from eventroute.secret import Secret
from eventroute_cli.samples import build_request, load_sample
from support.fetched_keys import ACCOUNT, AUDIENCE, TOPIC, from_aws, from_google, message, push
from support.github import TOKEN, app_pem

SAMPLES = Path(__file__).parents[3] / "k8s" / "samples"
OPEN = OutboundRules(ports=(443, 5432))
"""As the samples ask the platform's owner for."""
NOW = 1_790_000_000.0
SENDERS = {"aws-sns": TOPIC.encode(), "google-pubsub": f"{ACCOUNT} {AUDIENCE}".encode()}


def compiled() -> Compiled:
    manifests = load_manifests([SAMPLES])
    routes = [found.route for found in manifests.routes]
    secrets: dict[ObjectKey, dict[str, Secret]] = {}
    for route in routes:
        for ref in route.spec.secret_refs:
            key = ObjectKey(route.metadata.namespace, ref.name)
            secrets.setdefault(key, {})[ref.key] = Secret(_secret(route))
        if token := route.spec.verify_token_ref:
            key = ObjectKey(route.metadata.namespace, token.name)
            secrets.setdefault(key, {})[token.key] = Secret(b"a-verify-token-of-ours")
        for key, name, secret in (*_of_sinks(route), *_of_tools(route)):
            secrets.setdefault(key, {})[name] = secret
        if own := route.spec.model.api_key_ref:
            secrets[ObjectKey(route.metadata.namespace, own.name)] = {own.key: Secret(b"sk-ant-sample")}
    config_maps = {config_map.key: config_map.data for config_map in manifests.config_maps}
    return compile_routes(routes, secrets=secrets, config_maps=config_maps, outbound=OPEN)


def _of_sinks(route: EventRoute) -> Iterator[tuple[ObjectKey, str, Secret]]:
    """Make what each sink refers to."""
    found: list[tuple[SecretKeyRef, bytes]] = []
    for sink in route.spec.sinks:
        if sink.http:
            signing = generate_secret(SCHEMES["standard-webhooks"]).configured
            found += [(ref, signing) for ref in sink.http.secret_refs]
        if sink.slack and sink.slack.token_ref:
            found.append((sink.slack.token_ref, b"xoxb-sample"))
        if sink.postgres:
            found.append((sink.postgres.url_ref, b"postgresql://sample:sample@db.example.com/sample"))
        if sink.github and sink.github.token_ref:
            found.append((sink.github.token_ref, TOKEN.encode()))
        if sink.github and sink.github.app:
            found.append((sink.github.app.private_key_ref, app_pem()))
    for ref, value in found:
        yield ObjectKey(route.metadata.namespace, ref.name), ref.key, Secret(value)


def _of_tools(route: EventRoute) -> Iterator[tuple[ObjectKey, str, Secret]]:
    """Make what each tool refers to."""
    for tool in (tool for prompt in route.spec.prompts for tool in prompt.tools):
        if header := tool.http.secret_header:
            yield ObjectKey(route.metadata.namespace, header.ref.name), header.ref.key, Secret(b"Bearer sample")


def _secret(route: EventRoute) -> bytes:
    provider = route.spec.provider
    if provider in SENDERS:
        return SENDERS[provider]
    return generate_secret(SCHEMES[provider]).configured if provider in SCHEMES else b"0123456789abcdef0123456789abcdef"


COMPILED = compiled()


def test_every_sample_route_is_served() -> None:
    assert {verdict.path: verdict.problems for verdict in COMPILED.verdicts if verdict.problems} == {}
    assert len(COMPILED.worker) > 30


@pytest.mark.parametrize(
    ("path", "provider", "event", "entities"),
    [
        ("platform/pull-requests", "github", "pull_request.opened", ["northwind/checkout/ada-lopez"]),
        ("platform/pull-requests", "github", "issues.opened", ["northwind/checkout/ada-lopez"]),
        ("billing/payments", "stripe", "invoice.payment_failed", ["cus_Qv7LmTz0aR2wXb"]),
        ("support/messages", "slack", "message", ["C04PAYMENTS"]),
        ("support/messages", "slack", "app_mention", ["C04PAYMENTS"]),
        ("sales/contacts", "hubspot", "contact.creation", ["51001", "51002", "51003"]),
        ("shop/orders", "shopify", "orders/create", ["7100200300"]),
        ("shop/orders", "shopify", "orders/cancelled", ["7100200300"]),
        ("team-a/linear", "linear", "Issue.create", [None]),
        ("platform/alerts", "alertmanager", "CheckoutErrors.firing", ["CheckoutErrors", "CheckoutErrors"]),
        ("platform/alerts", "alertmanager", "CheckoutErrors.resolved", ["CheckoutErrors"]),
        ("platform/alerts-basic", "alertmanager-basic", "CheckoutErrors.firing", [None, None]),
        ("platform/grafana", "grafana", "CheckoutErrors.firing", ["CheckoutErrors"]),
        ("platform/pipelines", "gitlab", "merge_request.open", ["retry-captures"]),
        ("platform/pipelines", "gitlab", "pipeline", ["main"]),
        ("support/text-messages", "twilio", "received", ["+4915112345678"]),
        ("support/tickets", "zendesk", "zen:event-type:ticket.created", [None]),
        ("community/discord", "discord", "APPLICATION_AUTHORIZED", [None]),
        ("growth/users", "clerk", "user.created", [None]),
        ("mail/bounces", "sendgrid", "bounce", ["reader1@example.com"]),
        ("web/issues", "sentry", "issue.created", [None]),
        ("support/whatsapp", "meta", "whatsapp_business_account.messages", ["16505551234"]),
        ("support/whatsapp", "meta", "page", []),
        ("office/mail", "microsoft-graph", "created", [None, None]),
        ("office/mail", "microsoft-graph", "subscriptionRemoved", [None]),
        ("office/files", "dropbox", "", ["dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc"]),
        ("club/activities-5f0e3a52c5d7", "strava", "activity.create", [None]),
        ("security/lockouts", "okta", "user.account.lock", ["00uu5xkAtw1yQVlZI0g3", "00uu5xkAtw1yQVlZI0g4"]),
        ("office/meetings", "zoom", "meeting.ended", [None]),
        ("platform/gitea", "gitea", "issues.opened", ["northwind/checkout/mira"]),
        ("platform/gitea", "gitea", "pull_request.opened", ["northwind/checkout/ada-lopez"]),
        ("web/deployments", "vercel", "deployment.error", ["prj_Ch3ck0utWeb"]),
        ("sales/bookings", "calendly", "invitee.created", [None]),
        ("sales/bookings", "calendly", "invitee.canceled", [None]),
        ("team-a/board", "trello", "createCard", ["65f0a1b2c3d4e5f601020304"]),
        ("team-a/board", "trello", "commentCard", ["65f0a1b2c3d4e5f601020304"]),
        ("platform/builds", "circleci", "workflow-completed", ["github/northwind/checkout"]),
        ("shop/refunds", "lemonsqueezy", "order_refunded", ["25"]),
        ("shop/refunds", "lemonsqueezy", "subscription_cancelled", ["25"]),
        ("shop/order-events", "cloudevents", "com.northwind.order.placed", [None]),
        ("shop/order-events", "cloudevents", "com.northwind.order.shipped", [None]),
    ],
)
def test_a_sample_event_becomes_a_prompt(path: str, provider: str, event: str, entities: list[str | None]) -> None:
    url = COMPILED.receiver[RoutePath(path)].public_url
    assert entities_of(path, build_request(load_sample(provider, event, now=NOW), url=url)) == entities


def test_an_alarm_of_cloudwatch_becomes_a_prompt() -> None:
    alarm = {"AlarmName": "disk", "NewStateValue": "ALARM", "NewStateReason": "Threshold crossed: 97 > 90"}
    for state, entities in (("ALARM", ["disk"]), ("OK", [])):
        text = msgspec.json.encode(alarm | {"NewStateValue": state}).decode()
        assert entities_of("platform/alarms", from_aws(message(Message=text))) == entities


def test_an_upload_to_cloud_storage_becomes_a_prompt() -> None:
    file = msgspec.json.encode({"name": "a.jpg", "contentType": "image/jpeg", "size": "1024"})
    assert entities_of("media/uploads", from_google(payload=push(file, eventType="OBJECT_FINALIZE"))) == [None]


def test_a_severe_issue_is_handed_over_and_becomes_a_prompt() -> None:
    sink = next(sink for sink in COMPILED.worker[RoutePath("platform/severity")].sinks if isinstance(sink, RouteSink))
    value = {"repository": "northwind/checkout", "severity": "high", "why": "Nobody can pay."}
    payload = msgspec.json.encode({"type": "eventroute.answer", "data": {"value": value}})
    plan = prepare(COMPILED.worker[sink.route])
    event = Event(_delivery(sink.route, "eventroute", sink.event, payload))
    match = plan.match(event)
    assert match.position is not None
    assert plan.entity is not None
    assert plan.entity.text(event.variables).value == "northwind/checkout"
    assert plan.build_prompt(match.position, event).missing_fields == ()


def entities_of(path: str, request: Request) -> list[str | None]:
    """Take the events of a request to their prompts, which lack nothing, and name whom those that count are about."""
    receiver, worker = COMPILED.receiver[RoutePath(path)], COMPILED.worker[RoutePath(path)]
    events = read(receiver.scheme, request)
    assert isinstance(events, Events)
    plan = prepare(worker)
    found: list[str | None] = []
    for item in events.items:
        delivery = Event(_delivery(path, receiver.scheme.name, item.type, item.payload))
        counts = compile_expression(receiver.filter or "true").test(delivery.variables)
        assert counts.error is None
        if not counts.holds:
            continue
        match = plan.match(delivery)
        assert match.position is not None
        assert match.errors == ()
        entity = plan.entity.text(delivery.variables).value if plan.entity else None
        found.append(entity)
        assert plan.build_prompt(match.position, delivery, entity=entity).missing_fields == ()
    return found


def _delivery(path: str, provider: str, event: str, payload: bytes) -> Delivery:
    return Delivery(
        id=DeliveryId("d-aaaaaaaaaaaaaaaaaaaaaaaaaa"),
        route=RoutePath(path),
        generation=1,
        provider=provider,
        event=event,
        provider_id="",
        received_ms=int(NOW * 1000),
        payload=msgspec.Raw(payload),
    )


def test_a_large_failed_payment_goes_to_the_stronger_model() -> None:
    plan = prepare(COMPILED.worker[RoutePath("billing/payments")])
    models = []
    for amount in (12_900, 900):
        payload = msgspec.json.encode({"data": {"object": {"amount_due": amount}}})
        position = plan.match(
            Event(_delivery("billing/payments", "stripe", "invoice.payment_failed", payload))
        ).position
        assert position is not None
        models.append(plan.route.prompts[position].model.name)
    assert models == ["claude-sonnet-5-5", "claude-haiku-5-5"]


@pytest.mark.parametrize("event", [{"bot_id": "B1"}, {"subtype": "message_changed"}])
def test_the_slack_route_filters_what_bots_write(event: dict[str, str]) -> None:
    route = COMPILED.receiver[RoutePath("support/messages")]
    payload = {"event": {"type": "message", **event}}
    delivery = Event(_delivery("support/messages", "slack", "message", msgspec.json.encode(payload)))
    assert route.filter
    assert compile_expression(route.filter).test(delivery.variables) == (False, None)
