"""Who caused an event, as each provider tells it: a route that is one of them has caused the event itself."""

from collections.abc import Mapping

import pytest

from eventroute.schemes import SCHEMES, Events, Request, read

GITHUB = {"x-github-event": "issues"}
GITEA = {"x-gitea-event": "issues"}
NAMED: list[tuple[str, Mapping[str, str], bytes, str]] = [
    ("github", GITHUB, b'{"issue":{},"sender":{"login":"us[bot]","id":7,"type":"Bot"}}', "us[bot]"),
    ("github", GITHUB, b'{"issue":{},"sender":{"login":"us[bot]","id":7,"type":"Bot"}}', "7"),
    ("slack", {}, b'{"event":{"type":"message","bot_id":"B1","app_id":"A1","user":"U1"}}', "B1"),
    ("slack", {}, b'{"event":{"type":"message","bot_id":"B1","app_id":"A1","user":"U1"}}', "A1"),
    ("slack", {}, b'{"event":{"type":"reaction_added","user":"U1"}}', "U1"),
    ("slack", {}, b'{"event":{"type":"message","subtype":"message_changed","message":{"bot_id":"B1"}}}', "B1"),
    ("gitlab", {}, b'{"object_kind":"note","user":{"id":1,"username":"us"}}', "us"),
    ("gitlab-token", {}, b'{"object_kind":"push","user_id":4,"user_username":"us"}', "us"),
    ("gitlab", {}, b'{"object_kind":"push","user_id":4,"user_username":"us"}', "4"),
    ("bitbucket", {}, b'{"actor":{"uuid":"{u}","account_id":"5:x"}}', "{u}"),
    ("bitbucket", {}, b'{"actor":{"name":"us","id":1}}', "us"),
    ("jira", {}, b'{"user":{"accountId":"5:x"}}', "5:x"),
    ("jira", {}, b'{"comment":{"author":{"accountId":"5:x"}}}', "5:x"),
    ("jira", {}, b'{"user":{"name":"us"}}', "us"),
    ("linear", {}, b'{"actor":{"id":"l-1","type":"user"}}', "l-1"),
    (
        "meta",
        {},
        b'{"object":"page","entry":[{"messaging":[{"sender":{"id":"p1"},"message":{"is_echo":true}}]}]}',
        "p1",
    ),
    ("meta", {}, b'{"object":"page","entry":[{"changes":[{"field":"feed","value":{"from":{"id":"p1"}}}]}]}', "p1"),
    (
        "meta",
        {},
        b'{"object":"w","entry":[{"changes":[{"field":"messages","value":{"messages":[{"from":"7"}]}}]}]}',
        "7",
    ),
    ("okta", {}, b'{"data":{"events":[{"actor":{"id":"00u1","alternateId":"bot@example.com"}}]}}', "bot@example.com"),
    ("pagerduty", {}, b'{"event":{"agent":{"id":"P1","type":"user_reference"}}}', "P1"),
    ("sentry", {}, b'{"actor":{"type":"application","id":"s-1"}}', "s-1"),
    ("strava", {}, b'{"object_type":"activity","owner_id":7}', "7"),
    ("zendesk", {}, b'{"detail":{"actor_id":"8"},"event":{}}', "8"),
    ("zendesk", {}, b'{"detail":{},"event":{"actor":{"id":"9"}}}', "9"),
    ("zoom", {}, b'{"event":"meeting.created","payload":{"operator_id":"z1","operator":"bot@example.com"}}', "z1"),
    ("gitea", GITEA, b'{"issue":{},"sender":{"login":"us","id":7}}', "us"),
    ("gitea", GITEA, b'{"issue":{},"sender":{"login":"us","id":7}}', "7"),
    ("vercel", {}, b'{"payload":{"user":{"id":"v-1"}}}', "v-1"),
    ("trello", {}, b'{"action":{"idMemberCreator":"5d1"}}', "5d1"),
    ("trello", {}, b'{"action":{"idMemberCreator":"5d1","memberCreator":{"id":"5d1","username":"us"}}}', "us"),
]
OTHERS: list[tuple[str, Mapping[str, str], bytes, str]] = [
    ("github", GITHUB, b'{"issue":{"user":{"login":"us"}},"sender":{"login":"ada"}}', "us"),  # ours, edited by another
    ("github", GITHUB, b'{"issue":{},"sender":{"login":"us-too"}}', "us"),
    ("github", GITHUB, b'{"issue":{},"sender":"us"}', "us"),
    ("github", GITHUB, b'{"issue":{},"installation":{"id":7},"sender":{"login":"ada","id":1}}', "7"),
    ("slack", {}, b'{"api_app_id":"A1","event":{"type":"message","user":"U2","text":"A1"}}', "A1"),  # who is told
    ("jira", {}, b'{"comment":{"author":{"accountId":"5:x"},"updateAuthor":{"accountId":"5:y"}}}', "5:x"),
    ("stripe", {}, b'{"type":"a","sender":{"login":"us"}}', "us"),
]


def is_own(provider: str, headers: Mapping[str, str], body: bytes, *own: str) -> bool:
    pairs = [(key.encode(), value.encode()) for key, value in headers.items()]
    request = Request(method="POST", url="https://h.example/", headers=pairs, body=body)
    found = read(SCHEMES[provider], request, own=frozenset(name.encode() for name in own))
    assert isinstance(found, Events), found
    return found.items[0].is_own


@pytest.mark.parametrize(("provider", "headers", "body", "us"), NAMED)
def test_what_we_have_caused_is_known(provider: str, headers: Mapping[str, str], body: bytes, us: str) -> None:
    assert is_own(provider, headers, body, "somebody", us)
    assert not is_own(provider, headers, body, "somebody")
    assert not is_own(provider, headers, body)


@pytest.mark.parametrize(("provider", "headers", "body", "us"), OTHERS)
def test_what_others_have_caused_is_not(provider: str, headers: Mapping[str, str], body: bytes, us: str) -> None:
    assert not is_own(provider, headers, body, us)


def test_every_row_that_names_an_actor_is_among_these() -> None:
    seen = {provider for provider, *_ in NAMED}
    assert {name.removesuffix("-sha1") for name, row in SCHEMES.items() if row.actor} == seen
