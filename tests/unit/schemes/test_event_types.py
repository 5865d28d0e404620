"""Event types: in the provider's words, and never one that the signed body contradicts."""

import pytest

from eventroute.schemes import SCHEMES, Event, Events, Handshake, Request, Unparsable, read


def read_as(name: str, body: bytes, headers: dict[str, str]) -> Events | Handshake | Unparsable:
    pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
    return read(SCHEMES[name], Request(method="POST", url="https://h.example/", headers=pairs, body=body))


def event_of(name: str, body: bytes, headers: dict[str, str] | None = None) -> Event:
    result = read_as(name, body, headers or {})
    assert isinstance(result, Events), result
    return result.items[0]


FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("name", "headers", "body", "event"),
    [
        ("github", {"x-github-event": "issues"}, b'{"action":"opened","issue":{}}', "issues.opened"),
        ("github", {"x-github-event": "push"}, b'{"ref":"r","commits":[]}', "push"),
        ("stripe", {}, b'{"type":"invoice.payment_failed"}', "invoice.payment_failed"),
        ("slack", {}, b'{"type":"event_callback","event":{"type":"message"}}', "message"),
        ("slack", {}, b'{"type":"app_rate_limited"}', "app_rate_limited"),
        ("shopify", {"x-shopify-topic": "orders/create"}, b"{}", "orders/create"),
        ("hubspot", {}, b'[{"subscriptionType":"contact.creation"}]', "contact.creation"),
        ("hubspot", {}, b'[{"eventType":"contact.creation"}]', "contact.creation"),
        ("gitlab", {}, b'{"object_kind":"push"}', "push"),
        (
            "gitlab",
            {"x-gitlab-event": "Push Hook"},
            b'{"object_kind":"merge_request","object_attributes":{"action":"open"}}',
            "merge_request.open",
        ),
        ("gitlab", {}, b'{"object_kind":"release","action":"delete"}', "release.delete"),
        ("gitlab-token", {}, b'{"object_kind":"milestone","action":"close","object_attributes":{}}', "milestone.close"),
        ("bitbucket", {"x-event-key": "repo:push"}, b"{}", "repo:push"),
        ("jira", {}, b'{"webhookEvent":"jira:issue_updated"}', "jira:issue_updated"),
        ("linear", {"linear-event": "Comment"}, b'{"type":"Issue","action":"create"}', "Issue.create"),
        ("twilio", FORM, b"MessageSid=1&MessageStatus=delivered", "delivered"),
        ("twilio", FORM, b"CallSid=1&CallStatus=ringing", "ringing"),
        ("sendgrid", {}, b'[{"event":"dropped"}]', "dropped"),
        ("pagerduty", {}, b'{"event":{"event_type":"incident.triggered"}}', "incident.triggered"),
        ("sentry", {"sentry-hook-resource": "issue"}, b'{"action":"created"}', "issue.created"),
        ("intercom", {}, b'{"topic":"conversation.user.created"}', "conversation.user.created"),
        ("typeform", {}, b'{"event_type":"form_response"}', "form_response"),
        ("discord", {}, b'{"type":1,"event":{"type":"ENTITLEMENT_CREATE"}}', "ENTITLEMENT_CREATE"),
        ("mailgun", {}, b'{"event-data":{"event":"opened"}}', "opened"),
        ("anthropic", {}, b'{"type":"event","data":{"type":"session.idle"}}', "session.idle"),
        ("cloudevents", {"ce-type": "com.example.a"}, b'{"type":"not this"}', "com.example.a"),
        ("cloudevents", {}, b'{"type":"com.example.b","data":{}}', "com.example.b"),
        ("gitea", {"x-gitea-event": "issues"}, b'{"action":"opened","issue":{}}', "issues.opened"),
        ("gitea", {"x-gitea-event": "pull_request_comment"}, b'{"action":"reviewed"}', "pull_request_comment.reviewed"),
        ("vercel", {}, b'{"type":"deployment.error"}', "deployment.error"),
        ("calendly", {}, b'{"event":"invitee.created","payload":{"event":"https://x.example/1"}}', "invitee.created"),
        ("trello", {}, b'{"action":{"type":"createCard"}}', "createCard"),
        ("circleci", {"circleci-event-type": "job-completed"}, b'{"type":"workflow-completed"}', "workflow-completed"),
        ("lemonsqueezy", {"x-event-name": "a"}, b'{"meta":{"event_name":"order_created"}}', "order_created"),
        ("none", {}, b"", ""),
    ],
)
def test_the_type_is_read_where_the_provider_puts_it(
    name: str, headers: dict[str, str], body: bytes, event: str
) -> None:
    assert event_of(name, body, headers).type == event


@pytest.mark.parametrize(
    ("claimed", "body"),
    [
        ("pull_request", b'{"action":"opened","issue":{}}'),
        ("issues", b'{"action":"opened","pull_request":{}}'),
        ("issue_comment", b'{"action":"created","issue":{}}'),
        ("push", b'{"action":"opened","pull_request":{}}'),
        ("release", b"{}"),
        ("ping", b'{"action":"opened","pull_request":{}}'),
    ],
)
def test_a_header_that_the_body_contradicts_is_refused(claimed: str, body: bytes) -> None:
    assert read_as("github", body, {"x-github-event": claimed}) == Unparsable("the event type contradicts the body")


@pytest.mark.parametrize(
    ("claimed", "body"),
    [
        ("issues", b'{"action":"opened","pull_request":{}}'),
        ("pull_request", b'{"action":"opened","issue":{}}'),
        ("issue_comment", b'{"action":"created","issue":{}}'),
        ("push", b"{}"),
        ("wiki", b'{"action":"created"}'),
    ],
)
def test_giteas_header_is_held_against_the_body_too(claimed: str, body: bytes) -> None:
    assert read_as("gitea", body, {"x-gitea-event": claimed}) == Unparsable("the event type contradicts the body")


def test_a_type_that_the_table_does_not_know_is_taken_as_it_is() -> None:
    assert event_of("github", b'{"action":"x"}', {"x-github-event": "brand_new"}).type == "brand_new.x"


def test_without_its_first_part_there_is_no_type() -> None:
    assert event_of("github", b'{"action":"opened"}').type == ""


@pytest.mark.parametrize("odd", ["*", "a.*", ".*", "[a-z]", "a\nb", "é", "(", "$", "__class__", "\\"])
def test_a_type_is_text_and_nothing_else(odd: str) -> None:
    assert event_of("shopify", b"{}", {"x-shopify-topic": odd}).type == odd


@pytest.mark.parametrize("value", [b"null", b"{}", b"[]", b'["a"]', b'""'])
def test_a_type_that_is_no_text_counts_as_absent(value: bytes) -> None:
    assert event_of("stripe", b'{"type":' + value + b"}").type == ""


def test_a_number_is_spelled_out() -> None:
    assert event_of("stripe", b'{"type":7}').type == "7"


def test_a_type_has_an_end() -> None:
    assert event_of("stripe", b'{"type":"' + b"x" * 10_000 + b'"}').type == "x" * 200


def test_bytes_that_are_no_text_do_not_raise() -> None:
    sent = Request(method="POST", url=None, headers=[(b"x-shopify-topic", b"\xff\xfe")], body=b"{}")
    result = read(SCHEMES["shopify"], sent)
    assert isinstance(result, Events)
    assert result.items[0].type == "\ufffd\ufffd"
