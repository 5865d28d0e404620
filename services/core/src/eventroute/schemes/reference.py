"""The scheme table as a page for people: what to put into the secret, and what events and ids look like."""

from collections.abc import Iterable
from typing import Final

from eventroute.schemes.derived import identity_is_signed, needs_public_url, strength
from eventroute.schemes.model import Reply, Scheme, Strength

_HEAD: Final = """\
# Providers

Generated from the scheme table by `make generate`; do not edit. `spec.provider` is the first column. A secret is
stored as the provider shows it.

- **proof**: `verified` means that the body is covered by a key; `authenticated` that the sender knew a secret; `open`
  that anybody who knows the URL may post. A route can ask for the stronger with `requireStrength`.
- **event**: where the event's name comes from; parts are joined with a dot. Prompts and filters go by it.
- **id**: what a repeated delivery is known by. In *italics* where it stands in something unsigned: then the signed
  bytes, if there are any, are remembered too, and two events with equal ones count as one. A delivery without one is
  known by its bytes, for ten minutes.
- **actor**: where it stands who caused the event; what is in a route's `ownActors` starts nothing.
- **remembered**: how long a delivery is known, at least as long as the provider tries again.
- **body**: how large one may be, unless the route's `maxBodyBytes` says otherwise. Ingresses and gateways have caps of
  their own.
- **answer**: what a success says: its status, and in which terms. JSON names the delivery, and what became of it. Where
  it waits, the provider never sends again by itself, and its receipts wait so long for a Redis that is away.

| provider | secret | proof | age at most | event | actor | id | remembered | body | answer | docs |
|---|---|---|---|---|---|---|---|---|---|---|
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
    identity = _sources(row.id) or ("signed bytes" if strength(row) is Strength.VERIFIED and row.timestamp else "-")
    return (
        name,
        _secret(row),
        strength(row),
        _span(row.tolerance_s) if row.tolerance_s is not None else "-",
        _sources(row.event) or "-",
        _sources(row.actor) or "-",
        identity if identity_is_signed(row) or not row.id else f"*{identity}*",
        _span(row.dedup_ttl_s),
        f"{row.max_body_bytes >> 20} MiB",
        _answer(row),
        f"[docs]({row.docs})" if row.docs else "-",
    )


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
