"""Rows that contradict themselves are refused, with the column and what to write instead."""

from typing import Any

import pytest
from msgspec.structs import replace

from eventroute.schemes import SCHEMES, HandshakeRule, Match, Reply, Scheme, lint_scheme

SOUND = Scheme(name="custom", signature="header:x-signature", signed=("body",))
STAMPED = replace(
    SOUND, signed=("timestamp", "text:.", "body"), timestamp="header:x-timestamp", tolerance_s=300, id=("body:id",)
)
OPEN = Scheme(name="custom", kind="none")
TOKEN = Scheme(name="custom", kind="token", signature="header:x-token")


SNS, PUBSUB = SCHEMES["aws-sns"], SCHEMES["google-pubsub"]
CONFIRMED = SNS.handshake[0]


@pytest.mark.parametrize("scheme", [SOUND, STAMPED, OPEN, TOKEN])
def test_a_sound_row_passes(scheme: Scheme) -> None:
    assert lint_scheme(scheme) == []


@pytest.mark.parametrize(
    ("base", "change", "column"),
    [
        (SOUND, {"name": "Not A Name"}, "name"),
        (SOUND, {"name": ""}, "name"),
        (SOUND, {"signature": ""}, "signature"),
        (SOUND, {"signature": "x-signature"}, "signature"),
        (SOUND, {"signature": "header:"}, "signature"),
        (SOUND, {"signature": "header:x y"}, "signature"),
        (SOUND, {"signature": "header:x\n"}, "signature"),
        (SOUND, {"signature": "cookie:x"}, "signature"),
        (SOUND, {"signature": "item:x"}, "signature"),
        (SOUND, {"signature": "signature:v1"}, "signature"),
        (SOUND, {"signature": "header:a|item:b"}, "signature"),
        (SOUND, {"signed": ()}, "signed"),
        (SOUND, {"signed": ("boddy",)}, "signed"),
        (SOUND, {"signed": ("text:constant",)}, "signed"),
        (SOUND, {"signed": ("item:x", "body")}, "signed"),
        (SOUND, {"signed": ("timestamp", "body")}, "timestamp"),
        (SOUND, {"signed": ("header:x-id", "timestamp"), "covers_body": False}, "timestamp"),
        (SOUND, {"covers_body": False}, "covers_body"),
        (SOUND, {"digest": "sha1"}, "digest"),
        (SOUND, {"key": "spki"}, "key"),
        (SOUND, {"kind": "ed25519"}, "key"),
        (SOUND, {"kind": "ecdsa-p256", "key": "hex"}, "key"),
        (SOUND, {"kind": "hash", "key": "whsec"}, "key"),
        (SOUND, {"kind": "token"}, "signed"),
        (SOUND, {"kind": "none"}, "kind"),
        (SOUND, {"tolerance_s": 300}, "tolerance_s"),
        (SOUND, {"timestamp": "header:x-timestamp", "tolerance_s": 300}, "timestamp"),
        (STAMPED, {"tolerance_s": None}, "tolerance_s"),
        (STAMPED, {"tolerance_s": 0}, "tolerance_s"),
        (STAMPED, {"tolerance_s": -1}, "tolerance_s"),
        (STAMPED, {"dedup_ttl_s": 299}, "dedup_ttl_s"),
        (STAMPED, {"dedup_ttl_s": 0}, "dedup_ttl_s"),
        (STAMPED, {"retry_window_s": 301}, "tolerance_s"),
        (STAMPED, {"retry_window_s": 86_400, "restamped": True}, "dedup_ttl_s"),
        (SOUND, {"retry_window_s": 86_401}, "dedup_ttl_s"),
        (STAMPED, {"timestamp": "signature:t"}, "timestamp"),
        (STAMPED, {"timestamp": "item:t"}, "timestamp"),
        (SOUND, {"signed": ("url", "twilio-body")}, "signed"),
        (SOUND, {"signed": ("twilio-body",), "form": "fields"}, "signed"),
        (SOUND, {"signed": ("sns-body",), "covers_body": False}, "signed"),
        (SNS, {"keys_at": ""}, "keys_at"),
        (SNS, {"keys_at": "http://sns.amazonaws.com/a.pem"}, "keys_at"),
        (PUBSUB, {"keys_at": "http://www.googleapis.com/oauth2/v3/certs"}, "keys_at"),
        (SOUND, {"keys_at": "https://example.com/certs"}, "keys_at"),
        (SNS, {"issuers": ("https://accounts.google.com",)}, "issuers"),
        (PUBSUB, {"issuers": ()}, "issuers"),
        (PUBSUB, {"signed": ("body",)}, "signed"),
        (PUBSUB, {"key": "utf8"}, "key"),
        (SNS, {"key": "account"}, "key"),
        (SOUND, {"key": "topic"}, "key"),
        (SOUND, {"inner": "Message"}, "inner"),
        (SOUND, {"inner": "gzip:Message"}, "inner"),
        (SOUND, {"inner": "text:"}, "inner"),
        (SOUND, {"inner": "text:Message", "batch": "body"}, "inner"),
        (SNS, {"handshake": (replace(CONFIRMED, visit="query:url"),)}, "handshake[0].visit"),
        (SNS, {"handshake": (replace(CONFIRMED, method="GET", when=(), visit="header:x"),)}, "handshake[0].visit"),
        (SNS, {"handshake": (replace(CONFIRMED, body="{}"),)}, "handshake[0].visit"),
        (SNS, {"handshake": (replace(CONFIRMED, visit_at=""),)}, "handshake[0].visit_at"),
        (SNS, {"handshake": (replace(CONFIRMED, visit_at=".*"),)}, "handshake[0].visit_at"),
        (SNS, {"handshake": (replace(CONFIRMED, visit=""),)}, "handshake[0].visit_at"),
        (PUBSUB, {"handshake": (CONFIRMED,)}, "handshake[0].visit"),
        (SOUND, {"separator": ","}, "prefix"),
        (SOUND, {"separator": ", ", "prefix": "v1="}, "separator"),
        (SOUND, {"event": ("type",)}, "event"),
        (SOUND, {"event": ("body:",)}, "event"),
        (SOUND, {"event": ("body:a..b",)}, "event"),
        (SOUND, {"event": ("signature:t",)}, "event"),
        (SOUND, {"id": ("header:a|bogus",)}, "id"),
        (SOUND, {"batch": "items"}, "batch"),
        (SOUND, {"batch": "body:"}, "batch"),
        (SOUND, {"batch": "body", "id": ("header:x-id",)}, "id"),
        (SOUND, {"implies": (("push", ("ref",)),)}, "implies"),
        (SOUND, {"success_status": 302}, "success_status"),
        (SOUND, {"success_status": 503}, "success_status"),
        (SOUND, {"max_body_bytes": 26_214_401}, "max_body_bytes"),
        (SOUND, {"replies": (Reply(form=True),)}, "replies"),
        (SOUND, {"replies": (Reply(body="ok"),)}, "replies"),
        (SOUND, {"replies": (Reply(media_type="text/plain", body="ok"),), "success_status": 204}, "replies"),
        (SOUND, {"replies": (Reply(), Reply(media_type="text/plain", body="ok"))}, "replies"),
        (SOUND, {"handshake": (HandshakeRule(),)}, "handshake[0].when"),
        (SOUND, {"handshake": (HandshakeRule(when=(Match(source="nowhere"),)),)}, "handshake[0].when[0].source"),
        (SOUND, {"handshake": (HandshakeRule(when=(Match(source="body:a"),), echo="challenge"),)}, "handshake[0].echo"),
        (SOUND, {"handshake": (HandshakeRule(when=(Match(source="body:a"),), status=302),)}, "handshake[0].status"),
        (SOUND, {"handshake": (HandshakeRule(method="HEAD", body="{}"),)}, "handshake[0].method"),
        (SOUND, {"handshake": (HandshakeRule(method="GET", echo="body:a"),)}, "handshake[0].echo"),
        (SOUND, {"handshake": (HandshakeRule(method="GET", echo="query:a b"),)}, "handshake[0].echo"),
        (SOUND, {"handshake": (HandshakeRule(method="GET", proof="query:a"),)}, "handshake[0].proof"),
        (SOUND, {"handshake": (HandshakeRule(method="GET", echo="query:a", proof="b=query:a"),)}, "handshake[0].echo"),
        (SOUND, {"handshake": (HandshakeRule(method="GET", echo="query:a", body="{}"),)}, "handshake[0].body"),
        (SOUND, {"handshake": (HandshakeRule(method="HEAD", echo="query:a"),)}, "handshake[0].method"),
        (TOKEN, {"handshake": (HandshakeRule(method="GET", proof="b=query:a"),)}, "handshake[0].proof"),
        (
            SOUND,
            {"handshake": (HandshakeRule(when=(Match(source="body:a"),), echo="query:a"),)},
            "handshake[0].when[0].source",
        ),
        (
            SOUND,
            {"handshake": (HandshakeRule(when=(Match(source="body:a", verify_token=True),)),)},
            "handshake[0].when[0].verifyToken",
        ),
        (
            SOUND,
            {
                "handshake": (
                    HandshakeRule(method="GET", when=(Match(source="query:a", verify_token=True, equals="b"),)),
                )
            },
            "handshake[0].when[0].equals",
        ),
        (SOUND, {"event": ("query:a",)}, "event"),
        (SOUND, {"signature": "query:a"}, "signature"),
        (TOKEN, {"signature": "item:a"}, "signature"),
        (SOUND, {"batch": "body", "signature": "item:a"}, "signature"),
        (OPEN, {"signature": "header:x"}, "kind"),
        (OPEN, {"timestamp": "header:x", "tolerance_s": 60}, "timestamp"),
        (TOKEN, {"timestamp": "body:at", "tolerance_s": 60}, "timestamp"),
        (TOKEN, {"key": "hex"}, "key"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(base: Scheme, change: dict[str, Any], column: str) -> None:
    problems = lint_scheme(replace(base, **change))
    assert problems
    assert problems[0].startswith(f"{column}: "), problems


def test_a_token_may_stand_in_each_item_of_a_batch() -> None:
    assert lint_scheme(replace(TOKEN, batch="body", signature="item:a")) == []


def test_set_up_requests_may_ask_by_get_and_by_the_query_of_a_post() -> None:
    token = Match(source="query:token", verify_token=True)
    rules = (
        HandshakeRule(method="GET", when=(token, Match(source="header:x-mode")), echo="query:challenge"),
        HandshakeRule(echo="a.b=query:challenge"),
        HandshakeRule(method="GET", echo="plain=query:a", proof="signed=query:a"),
        HandshakeRule(when=(Match(source="body:a"),), echo="plain=body:b", proof="signed=body:b"),
        HandshakeRule(method="HEAD"),
    )
    assert lint_scheme(replace(SOUND, handshake=rules)) == []


def test_an_unsigned_timestamp_may_be_judged_when_the_row_says_so() -> None:
    assert lint_scheme(replace(SOUND, timestamp="header:x-time", tolerance_s=300, advisory=True)) == []


def test_a_body_that_is_not_covered_may_be_so_when_the_row_says_so() -> None:
    assert lint_scheme(replace(SOUND, signed=("body:token",), covers_body=False)) == []


def test_an_obsolete_digest_may_be_used_when_the_row_says_so() -> None:
    assert lint_scheme(replace(SOUND, digest="sha1", legacy_digest=True)) == []
