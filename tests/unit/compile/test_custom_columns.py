"""Every column of a `custom` scheme reaches the receivers, the rarely used ones too."""

import hmac
from typing import Any

import pytest

from eventroute.compile import scheme_of
from eventroute.crd import v1alpha1 as crd
from eventroute.ids import RoutePath
from eventroute.schemes import HandshakeRule, Match, Request, Verified, parse_key, verify
from support.routes import SECRET, compiled, event_route

NOW = 1_700_000_000.0
COLUMNS: dict[str, tuple[Any, Any]] = {
    "kind": ("token", "token"),
    "signature": ("header:x-other", "header:x-other"),
    "separator": (",", ","),
    "prefix": ("v1=", "v1="),
    "encoding": ("base64", "base64"),
    "digest": ("sha512", "sha512"),
    "legacyDigest": (True, True),
    "key": ("hex", "hex"),
    "signed": (["method", "body"], ("method", "body")),
    "coversBody": (True, True),
    "timestamp": ("header:x-time", "header:x-time"),
    "timestampUnit": ("ms", "ms"),
    "advisory": (True, True),
    "event": (["header:x-event"], ("header:x-event",)),
    "actor": (["body:by"], ("body:by",)),
    "ignoredEvents": (["ping"], ("ping",)),
    "id": (["header:x-id"], ("header:x-id",)),
    "dedupTTL": ("2h", 7200),
    "batch": ("body:items", "body:items"),
    "form": ("fields", "fields"),
    "document": ("any", "any"),
    "successStatus": (202, 202),
    "handshake": (
        [{"when": [{"source": "body:type", "equals": "hello"}], "status": 201, "body": '{"ok":true}'}],
        (HandshakeRule(when=(Match(source="body:type", equals="hello"),), status=201, body='{"ok":true}'),),
    ),
}
OTHERWISE = {"dedupTTL": "dedup_ttl_s"}


def test_every_column_is_known_here() -> None:
    assert {field.alias or name for name, field in crd.CustomScheme.model_fields.items()} == COLUMNS.keys()


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_reaches_the_scheme(column: str) -> None:
    said, told = COLUMNS[column]
    custom = {"kind": "hmac", "signature": "header:x-signature", column: said}
    scheme = scheme_of(event_route(provider="custom", custom=custom).spec)
    assert getattr(scheme, OTHERWISE.get(column) or crd_name(column)) == told


def crd_name(alias: str) -> str:
    return next(name for name, field in crd.CustomScheme.model_fields.items() if field.alias == alias)


@pytest.mark.parametrize(
    ("custom", "sent_at", "digest"),
    [
        ({"timestampUnit": "ms"}, "1700000000000", "sha256"),
        ({"timestampUnit": "rfc3339"}, "2023-11-14T22:13:20Z", "sha256"),
        ({"digest": "sha1", "legacyDigest": True}, "1700000000", "sha1"),
        ({"digest": "sha512"}, "1700000000", "sha512"),
    ],
    ids=str,
)
def test_what_its_sender_has_signed_is_accepted(custom: dict[str, Any], sent_at: str, digest: str) -> None:
    columns = {
        "signature": "header:x-signature",
        "timestamp": "header:x-time",
        "signed": ["timestamp", "text:.", "body"],
        **custom,
    }
    found = compiled(provider="custom", custom=columns)
    assert found.verdicts[0].problems == ()
    scheme = found.receiver[RoutePath("team-a/triage")].scheme
    signature = hmac.digest(SECRET, f"{sent_at}.{{}}".encode(), digest).hex()
    headers = [(b"x-signature", signature.encode()), (b"x-time", sent_at.encode())]
    request = Request(method="POST", url=None, headers=headers, body=b"{}")
    assert isinstance(verify(scheme, request, [parse_key(scheme, SECRET)], NOW), Verified)
