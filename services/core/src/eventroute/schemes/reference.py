"""The scheme table as a page for people: what to put into the secret, and what events and ids look like."""

from collections.abc import Iterable, Iterator
from typing import Final

from eventroute.schemes.derived import identity_is_signed, named_source, needs_public_url, strength
from eventroute.schemes.model import HandshakeRule, Match, Reply, Scheme, Strength

_HEAD: Final = """\
# Providers

Generated from the scheme table by `make generate`; do not edit. `spec.provider` is the first column. A secret is
stored as the provider shows it.

- **proof**: `verified` means that the body is covered by a key; `authenticated` that the sender knew a secret; `open`
  that anybody who knows the URL may post. A route can ask for the stronger with `requireStrength`.
- **event**: where the event's name comes from; parts are joined with a dot. Prompts and filters go by it.
- **id**: what a repeated delivery is known by. In *italics* where it stands in something unsigned: then the signed
  bytes, if there are any, are remembered too, and two events with equal ones count as one. A delivery without one is
  known by its bytes, for ten minutes; where it says none, not even by them: equal ones are events of their own.
- **actor**: where it stands who caused the event; what is in a route's `ownActors` starts nothing.
- **remembered**: how long a delivery is known, at least as long as the provider tries again.
- **body**: how large one may be, unless the route's `maxBodyBytes` says otherwise. Ingresses and gateways have caps of
  their own.
- **set-up**: the request by which the provider sets a webhook up, and its answer, which receivers give by themselves. A
  POST counts once it is verified, unless what it asks stands in its query. *verify token*: the route's
  `verifyTokenRef` must name a Secret's key with the one that you have given the provider. `eventroute send NAME
  --set-up` asks as the provider does.
- **answer**: what a success says: its status, and in which terms. JSON names the delivery, and what became of it. Where
  it waits, the provider never sends again by itself, and its receipts wait so long for a Redis that is away.

## Keys that are fetched

SNS signs with a certificate of AWS, Pub/Sub with keys of Google. Receivers fetch these from
`sns.REGION.amazonaws.com` and `www.googleapis.com` and need a way out: `networkPolicies.receiverFetches: true` of the
chart. As long as a key cannot be had, senders hear 503 and come back. As anybody may be a customer there, the secret
names whom to believe, and nothing of it is secret; several `secretRefs` are several of them.

- `aws-sns`: the ARN of the topic; messages of other topics are refused (`foreign`). Turn raw message delivery off: it
  is not signed (`unsigned`). Set the topic's `SignatureVersion` to 2, SHA-256 (`weak_digest`); `aws-sns-sha1` takes
  SHA-1 too. A subscription is confirmed by the receiver, by visiting its address. The signature leaves
  `MessageAttributes` out.
- `google-pubsub`: the service account of the push subscription and, after a space, the audience of its tokens: the URL
  that it pushes to, unless the subscription names another one. The subscription needs authentication, and wraps its
  messages. A token does not cover the body.
- The message itself is text within the body, at `payload.Message` and, as base64, at `payload.message.data`. If it is a
  JSON object or list, expressions and templates find that there: `payload.Message.detail.state`.

## Answers of other routes

`eventroute` is the provider of routes that other routes of their namespace hand answers to, by a sink `route`. It has
no secret, and its URL answers 404: nothing outside can send it anything. The event's name is the sink's `event`, the
payload is the message that the `http` sink sends, the id `<delivery>:<sink>`.

## Rows

| provider | secret | proof | age at most | event | actor | id | remembered | body | set-up | answer | docs |
|---|---|---|---|---|---|---|---|---|---|---|---|
"""

_SECRETS: Final = {
    "utf8": "text",
    "whsec": "`whsec_` and base64",
    "whpk": "`whpk_` and base64 (public key)",
    "base64": "base64",
    "hex": "hex",
    "spki": "base64 of the public key",
    "topic": "the topic's ARN",
    "account": "service account, space, audience",
}


def build_reference(rows: Iterable[Scheme]) -> str:
    """Write the page."""
    return _HEAD + "".join(f"| {' | '.join(_cells(row))} |\n" for row in rows)


def _cells(row: Scheme) -> tuple[str, ...]:
    name = f"`{row.name}`" + (" (needs `publicURL`)" if needs_public_url(row) else "")
    return (
        name,
        _secret(row),
        strength(row),
        _span(row.tolerance_s) if row.tolerance_s is not None else "-",
        _sources(row.event) or "-",
        _sources(row.actor) or "-",
        _identity(row),
        _span(row.dedup_ttl_s),
        f"{row.max_body_bytes >> 20} MiB",
        "; ".join(map(_set_up, row.handshake)) or "-",
        _answer(row),
        f"[docs]({row.docs})" if row.docs else "-",
    )


def _identity(row: Scheme) -> str:
    named = _sources(row.id)
    if named and not identity_is_signed(row):
        named = f"*{named}*"
    if row.alike:
        return f"{named}, else none" if named else "none"
    return named or ("signed bytes" if strength(row) is Strength.VERIFIED and row.timestamp else "-")


def _set_up(rule: HandshakeRule) -> str:
    """Tell one handshake: method, conditions, and what is sent back."""
    asked = [_condition(match) for match in rule.when]
    asked += [f"origin {origin}" for origin in rule.allowed_origins]
    request = f"{rule.method} with {', '.join(asked)}" if asked else rule.method
    return f"{request} → {', '.join(_sent_back(rule)) or rule.status}"


def _sent_back(rule: HandshakeRule) -> Iterator[str]:
    if rule.echo:
        name, source = named_source(rule.echo)
        yield f"`{name}`: {source}" if name else f"{source} as text"
    if rule.proof:
        name, source = named_source(rule.proof)
        yield f"`{name}`: signature of {source}"
    if rule.body:
        yield f"`{rule.body}`"
    if rule.visit:
        yield f"{rule.status} once {rule.visit} was visited"


def _condition(match: Match) -> str:
    if match.verify_token:
        return f"{match.source} = *verify token*"
    return f"no {match.source}" if match.equals is None else f"{match.source} = `{match.equals}`"


def _answer(row: Scheme) -> str:
    said = [f"{_said(reply)} to a form" if reply.form else _said(reply) for reply in row.replies]
    if all(reply.form for reply in row.replies):
        said.append("JSON")
    waits = f"; waits for {row.patience_s} s" if row.patience_s else ""
    return f"{row.success_status}, {', else '.join(said)}{waits}"


def _said(reply: Reply) -> str:
    return f"`{reply.body}`" if reply.body else "empty"


def _secret(row: Scheme) -> str:
    if row.kind == "none":
        return "none"
    if row.kind == "basic":
        return "`user:password`"
    return _SECRETS[row.key] + (" (public key)" if row.kind == "ed25519" and row.key == "hex" else "")


def _sources(sources: Iterable[str]) -> str:
    return ", ".join(source.replace("|", " or ") for source in sources)


def _span(seconds: int) -> str:
    hours = seconds // 3600
    if not hours:
        return f"{seconds} s"
    return f"{hours // 24} d" if hours % 24 == 0 and hours else f"{hours} h"
