"""Every published signature, and every published forgery, gets the verdict that its source gives it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventroute.schemes import SCHEMES, KeyRefused, Request, Verified, parse_key, verify

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors.json").read_text())

# What the vectors call a recipe → the row that follows it.
ROWS = {
    "github-hmac-sha256": "github",
    "stripe-v1": "stripe",
    "slack-v0": "slack",
    "shopify-hmac-sha256-b64": "shopify",
    "hubspot-v3": "hubspot",
}


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
