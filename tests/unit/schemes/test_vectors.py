"""Every published signature, and every published forgery, gets the verdict that its source gives it."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from eventroute.schemes import (
    SCHEMES,
    Handshake,
    Key,
    KeyRefused,
    Rejected,
    Request,
    Scheme,
    Verified,
    parse_key,
    preflight,
    read,
    verify,
)
from eventroute_cli.fixtures import RECIPES

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "vectors.json").read_text())


def request_of(vector: dict[str, Any]) -> Request:
    return Request(
        method=vector["method"],
        url=vector["url"],
        headers=[(name.lower().encode(), value.encode("latin-1")) for name, value in vector["headers"].items()],
        body=vector["body"].encode(),
        query=urlsplit(vector["url"] or "").query,
    )


def scheme_of(vector: dict[str, Any]) -> Scheme:
    return SCHEMES[RECIPES.get(vector["scheme"], vector["scheme"])]


def keys_of(vector: dict[str, Any]) -> list[Key]:
    try:
        return [parse_key(scheme_of(vector), vector["secret"].encode())] if vector["secret"] else []
    except KeyRefused:
        return []


def set_up(vector: dict[str, Any]) -> Handshake | Rejected | None:
    token = vector.get("verify_token", "").encode()
    return preflight(scheme_of(vector), request_of(vector), keys_of(vector), token=token)


SIGNED = [vector for vector in VECTORS if set_up(vector) is None]
SET_UP = [vector for vector in VECTORS if "answer" in vector]


@pytest.mark.parametrize("vector", SIGNED, ids=lambda vector: vector["id"])
def test_a_vector_gets_the_verdict_of_its_source(vector: dict[str, Any]) -> None:
    verdict = verify(scheme_of(vector), request_of(vector), keys_of(vector), vector["now"])
    assert isinstance(verdict, Verified) == (vector["expected"] == "valid"), verdict


def test_no_vector_is_left_out() -> None:
    assert (len(VECTORS), len(SIGNED), len(SET_UP)) == (126, 119, 7)


@pytest.mark.parametrize("vector", SET_UP, ids=lambda vector: vector["id"])
def test_a_set_up_request_gets_the_answer_of_its_source(vector: dict[str, Any]) -> None:
    found: object = set_up(vector)
    if found is None:  # one that is verified first
        key = next(iter(keys_of(vector)), None)
        found = read(scheme_of(vector), request_of(vector), key=key)
    assert isinstance(found, Handshake), found
    assert found.body.decode() == vector["answer"]
    assert ("x-content-type-options", "nosniff") in found.headers


def test_a_set_up_request_with_another_token_is_refused() -> None:
    refused = [vector["id"] for vector in VECTORS if isinstance(set_up(vector), Rejected)]
    assert refused == ["meta-challenge-other-token"]


def test_every_challenge_that_is_answered_has_a_vector() -> None:
    asked = {row.name for row in SCHEMES.values() if any(rule.echo or rule.proof for rule in row.handshake)}
    assert asked - {scheme_of(vector).name for vector in SET_UP} == {"slack"}  # which publishes none


def test_each_way_of_signing_in_the_table_has_a_valid_vector() -> None:
    valid = {RECIPES.get(each["scheme"], each["scheme"]) for each in SIGNED if each["expected"] == "valid"}
    proven = {signing(SCHEMES[name]) for name in valid}
    others = {"token", "basic", "none", "certificate", "oidc"}  # unsigned, or by keys that are no secret of a route
    assert [name for name, row in SCHEMES.items() if row.kind not in others and signing(row) not in proven] == []


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
