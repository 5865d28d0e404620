"""Every published signature, and every published forgery, gets the verdict that its source gives it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventroute.schemes import SCHEMES, KeyRefused, Request, Verified, parse_key, verify

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors.json").read_text())

# What the vectors call a recipe → the row that follows it.
ROWS = {
    "adyen-sig-in-body": "adyen",
    "discord-ed25519": "discord",
    "github-hmac-sha1-legacy": "github-sha1",
    "github-hmac-sha256": "github",
    "gitlab-token": "gitlab-token",
    "grafana-hmac": "grafana",
    "grafana-hmac-ts": "grafana-timestamp",
    "hmac-sha256-hex-raw": "razorpay",
    "hub-hmac-sha256": "bitbucket",
    "hubspot-v1": "hubspot-v1",
    "hubspot-v2": "hubspot-v2",
    "hubspot-v3": "hubspot",
    "intercom-hub-sha1": "intercom",
    "linear-hmac-sha256": "linear",
    "mailgun-body": "mailgun",
    "paddle-h1": "paddle",
    "pagerduty-v1": "pagerduty",
    "sanity-b64url-ms": "sanity",
    "sendgrid-ecdsa": "sendgrid",
    "sentry-hmac-sha256": "sentry",
    "shopify-events-hmac-sha256-b64": "shopify-events",
    "shopify-hmac-sha256-b64": "shopify",
    "slack-v0": "slack",
    "square-hmac-sha256": "square",
    "standard-webhooks-v1": "standard-webhooks",
    "standard-webhooks-v1a": "standard-webhooks-ed25519",
    "stripe-v1": "stripe",
    "stripe-v1-dialect": "mux",
    "svix-v1": "svix",
    "twilio-form": "twilio",
    "twilio-json": "twilio",
    "typeform-sha256-b64": "typeform",
    "zendesk-hmac-sha256-b64": "zendesk",
}

# An answer keyed with the secret to a GET: it proves us to them, and is tested among the handshakes.
HANDSHAKES = {"x-crc-challenge"}


def request_of(vector: dict[str, Any]) -> Request:
    return Request(
        method=vector["method"],
        url=vector["url"],
        headers=[(name.lower().encode(), value.encode("latin-1")) for name, value in vector["headers"].items()],
        body=vector["body"].encode(),
    )


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["scheme"] in ROWS], ids=lambda vector: vector["id"])
def test_a_vector_gets_the_verdict_of_its_source(vector: dict[str, Any]) -> None:
    scheme = SCHEMES[ROWS[vector["scheme"]]]
    try:
        keys = [parse_key(scheme, vector["secret"].encode())]
    except KeyRefused:
        keys = []
    verdict = verify(scheme, request_of(vector), keys, vector["now"])
    assert isinstance(verdict, Verified) == (vector["expected"] == "valid"), verdict


def test_every_vector_is_used_or_left_out_with_a_reason() -> None:
    assert {vector["scheme"] for vector in VECTORS} == ROWS.keys() | HANDSHAKES


@pytest.mark.parametrize("name", ["svix", "clerk", "resend"])
def test_svix_may_use_either_set_of_header_names(name: str) -> None:
    for vector in VECTORS:
        if vector["id"] in {"svix-headers", "standard-webhooks"}:
            scheme = SCHEMES[name]
            keys = [parse_key(scheme, vector["secret"].encode())]
            assert isinstance(verify(scheme, request_of(vector), keys, vector["now"]), Verified)
