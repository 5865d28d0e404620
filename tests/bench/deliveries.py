"""Signed GitHub deliveries as ready request bytes: each has an id and a body of its own, all have the same length.

Rendering and signing happen before the clock starts, so that the load generator only writes and reads.
"""

import hashlib
import hmac
import json
from typing import Any, Final, NamedTuple

SECRET: Final = "bench-5f0d3b0e6a1c4c5c9d6f"
"""The webhook secret of every peer."""

PATH: Final = "/hooks/bench/github"
"""Where every peer takes deliveries; EventRoute's own form of a route's path."""

BODY_BYTES: Final = 2_000

_SENTENCE = "The issuer answers after 30 s, which the checkout reads as a refusal. "
_DIGITS = 9  # of a delivery's number wherever it stands, so that all bodies are equally long


class Delivery(NamedTuple):
    """One delivery as it goes over the wire."""

    marker: str
    """Stands in the body and nowhere else: finds the delivery again in the request to Claude."""
    request: bytes


def render(number: int) -> Delivery:
    """Build the delivery of this number; the same number gives the same bytes."""
    marker = f"PR_bench{number:0{_DIGITS}d}"
    body = _body(number, marker)
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        "host: 127.0.0.1\r\n"
        "user-agent: GitHub-Hookshot/044aadd\r\n"
        "accept: */*\r\n"
        "content-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
        "x-github-event: pull_request\r\n"
        f"x-github-delivery: {number:08x}-5e1f-11f0-8c3a-2a1b3c4d5e6f\r\n"
        "x-github-hook-id: 512394821\r\n"
        "x-github-hook-installation-target-id: 88123412\r\n"
        "x-github-hook-installation-target-type: repository\r\n"
        f"x-hub-signature-256: sha256={signature}\r\n"
        "\r\n"
    )
    return Delivery(marker, head.encode() + body)


def _body(number: int, marker: str) -> bytes:
    bare = json.dumps(_payload(number, marker, text="")).encode()
    filler = (_SENTENCE * (BODY_BYTES // len(_SENTENCE)))[: BODY_BYTES - len(bare)]
    return json.dumps(_payload(number, marker, text=filler)).encode()


def _payload(number: int, marker: str, *, text: str) -> dict[str, Any]:
    return {
        "action": "opened",
        "number": f"{number:0{_DIGITS}d}",
        "pull_request": {
            "node_id": marker,
            "state": "open",
            "title": "Retry the payment when the card issuer times out",
            "user": {"login": "mona", "id": 5550123, "type": "User"},
            "head": {"ref": "retry-payment", "sha": "6dcb09b5b57875f334f61aebed695e2e4193db5e"},
            "base": {"ref": "main", "sha": "1d6b2f0ec2d9b8d9a4c0cf7f4a2a7f4ad2b0a111"},
            "draft": False,
            "additions": 104,
            "deletions": 12,
            "changed_files": 5,
            "body": text,
        },
        "repository": {
            "id": 88123412,
            "full_name": "acme/storefront",
            "private": True,
            "html_url": "https://github.com/acme/storefront",
            "default_branch": "main",
            "owner": {"login": "acme", "id": 1203344, "type": "Organization"},
        },
        "sender": {"login": "mona", "id": 5550123, "type": "User"},
    }
