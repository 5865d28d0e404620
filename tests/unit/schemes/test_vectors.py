"""Every published signature, and every published forgery, gets the verdict that its source gives it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventroute.schemes import SCHEMES, KeyRefused, Request, Scheme, Verified, parse_key, verify
from eventroute_cli.fixtures import RECIPES

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors.json").read_text())

# An answer keyed with the secret to a GET: it proves us to them, and is tested among the handshakes.
HANDSHAKES = {"x-crc-challenge"}


def request_of(vector: dict[str, Any]) -> Request:
    return Request(
        method=vector["method"],
        url=vector["url"],
        headers=[(name.lower().encode(), value.encode("latin-1")) for name, value in vector["headers"].items()],
        body=vector["body"].encode(),
    )


SIGNED = [vector for vector in VECTORS if vector["scheme"] not in HANDSHAKES]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["id"])
def test_a_vector_gets_the_verdict_of_its_source(vector: dict[str, Any]) -> None:
    scheme = SCHEMES[RECIPES.get(vector["scheme"], vector["scheme"])]
    try:
        keys = [parse_key(scheme, vector["secret"].encode())]
    except KeyRefused:
        keys = []
    verdict = verify(scheme, request_of(vector), keys, vector["now"])
    assert isinstance(verdict, Verified) == (vector["expected"] == "valid"), verdict


def test_no_vector_is_left_out() -> None:
    assert len(SIGNED) == 108


def test_each_way_of_signing_in_the_table_has_a_valid_vector() -> None:
    valid = {RECIPES.get(each["scheme"], each["scheme"]) for each in SIGNED if each["expected"] == "valid"}
    proven = {signing(SCHEMES[name]) for name in valid}
    unsigned = {"token", "basic", "none"}
    assert [name for name, row in SCHEMES.items() if row.kind not in unsigned and signing(row) not in proven] == []


def signing(row: Scheme) -> tuple[object, ...]:
    """What decides whether a signature fits, but for the header that it stands in."""
    return (row.kind, row.separator, row.prefix, row.encoding, row.digest, row.key, row.signed, row.url)


@pytest.mark.parametrize("name", ["svix", "clerk", "resend"])
def test_svix_may_use_either_set_of_header_names(name: str) -> None:
    for vector in VECTORS:
        if vector["id"] in {"svix-headers", "standard-webhooks"}:
            scheme = SCHEMES[name]
            keys = [parse_key(scheme, vector["secret"].encode())]
            assert isinstance(verify(scheme, request_of(vector), keys, vector["now"]), Verified)
