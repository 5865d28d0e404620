"""The rules that a row must keep: applied to the built-in table by a test, and to `custom` by the compiler.

Each rule stops a bug that some webhook receiver has had; every message says what to write instead.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from eventroute.schemes.derived import comes_first, covers_body, fetches_keys, is_signed, named_source, signs
from eventroute.schemes.model import HandshakeRule, Scheme
from eventroute.schemes.source import Place, alternatives

_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_PARAMETER: Final = re.compile(r"[^\s&=#|]{1,100}")
_PATH: Final = re.compile(r"[^.\s]+(\.[^.\s]+)*")
_PATTERNS: Final = {"header": _HEADER_NAME, "query": _PARAMETER}
_SUCCESS: Final = range(200, 300)
_NO_CONTENT: Final = 204
_MIN_BODY: Final = 1024
_MAX_BODY: Final = 26_214_400
_NAMED_PARTS: Final = frozenset({"body", "timestamp", "method", "url", "twilio-body", "sns-body"})

_KEY_FORMS: Final = {
    "hmac": {"utf8", "whsec", "base64", "hex"},
    "hash": {"utf8"},
    "ed25519": {"hex", "base64", "whpk", "spki"},
    "ecdsa-p256": {"spki"},
    "certificate": {"topic"},
    "oidc": {"account"},
    "token": {"utf8"},
    "basic": {"utf8"},
    "none": {"utf8"},
    "inside": {"utf8"},
}


def lint_scheme(scheme: Scheme) -> list[str]:
    """Name what is wrong with a row, each as a sentence that starts with the column; empty when it is sound."""
    problems = [problem for rule in (_grammar, _credentials) for problem in rule(scheme)]
    if problems:  # the later rules read the sources that the earlier ones found to be well written
        return problems
    return [problem for rule in _RULES for problem in rule(scheme)]


def _grammar(scheme: Scheme) -> Iterator[str]:
    """Every source must be written in the grammar: a typo would otherwise mean "absent"."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", scheme.name):
        yield "name: use lower-case letters, digits and dashes"
    signed = [part.removesuffix("?") for part in scheme.signed if not _is_named_part(part)]
    columns: list[tuple[str, Iterable[str], set[Place]]] = [
        ("signature", filter(None, [scheme.signature]), {"header", "body", *_of_items(scheme)}),
        ("signed", signed, {"header", "body"}),
        ("timestamp", filter(None, [scheme.timestamp]), {"header", "signature", "body"}),
        ("event", scheme.event, {"header", "body", "item"}),
        ("actor", scheme.actor, {"header", "body", "item"}),
        ("id", scheme.id, {"header", "body", "item"}),
        *_of_handshakes(scheme),
    ]
    for column, sources, places in columns:
        for source in sources:
            problem = _source_problem(source, places)
            if problem:
                yield f"{column}: {problem}"
    place, colon, path = scheme.batch.partition(":")
    if scheme.batch and (place != "body" or (colon and not _PATH.fullmatch(path))):
        yield "batch: write body, or body:PATH"


def _of_items(scheme: Scheme) -> set[Place]:
    """Only a secret that is shown may stand in each item; a signature is one, of all of them."""
    return {"item"} if scheme.batch and scheme.kind == "token" else set()


def _of_handshakes(scheme: Scheme) -> Iterator[tuple[str, Iterable[str], set[Place]]]:
    for index, rule in enumerate(scheme.handshake):
        places: set[Place] = {"header", "query"} if comes_first(rule) else {"header", "body"}
        column = f"handshake[{index}]"
        for at, match in enumerate(rule.when):
            yield f"{column}.when[{at}].source", [match.source], places
        yield f"{column}.visit", [rule.visit] if rule.visit else [], places
        for name, text in (("echo", rule.echo), ("proof", rule.proof)):
            yield f"{column}.{name}", [named_source(text)[1]] if text else [], places


def _is_named_part(part: str) -> bool:
    return part in _NAMED_PARTS or part.startswith("text:")


def _source_problem(text: str, places: set[Place]) -> str | None:
    try:
        sources = alternatives(text)
    except ValueError as error:
        return str(error)
    for place, name in sources:
        if place not in places:
            return f"{text!r}: only {', '.join(sorted(places))} can be read here"
        pattern = _PATTERNS.get(place, _PATH)
        if not pattern.fullmatch(name):
            return f"{text!r} does not name a {place} value"
    return None


def _credentials(scheme: Scheme) -> Iterator[str]:
    """The kind decides which columns mean something."""
    if scheme.kind in {"none", "inside"}:
        if scheme.signature or scheme.signed:
            yield f"kind: {scheme.kind} checks nothing, so leave signature and signed out"
        return
    if not scheme.signature:
        yield "signature: say where it is, for example header:x-signature"
    if scheme.kind in {"token", "basic", "oidc"} and scheme.signed:
        yield f"signed: {scheme.kind} signs nothing, so leave it out"
    if signs(scheme) and not scheme.signed:
        yield "signed: say which bytes the signature covers, for example [body]"
    if scheme.key not in _KEY_FORMS[scheme.kind]:
        yield f"key: {scheme.kind} takes {' or '.join(sorted(_KEY_FORMS[scheme.kind]))}"


def _fetching(scheme: Scheme) -> Iterator[str]:
    """What is fetched comes from the provider alone, over TLS."""
    if fetches_keys(scheme) != scheme.keys_at.startswith("https://"):
        yield "keys_at: an https address where keys are fetched, and nothing elsewhere"
    if (scheme.kind == "oidc") != bool(scheme.issuers):
        yield "issuers: say who issues tokens, and only of tokens"
    if "sns-body" in scheme.signed and scheme.kind != "certificate":
        yield "signed: sns-body is what certificates are for"


def _inner(scheme: Scheme) -> Iterator[str]:
    form, _, path = scheme.inner.partition(":")
    if scheme.inner and (form not in {"text", "base64"} or not _PATH.fullmatch(path) or scheme.batch):
        yield "inner: write text:PATH or base64:PATH, of a body that is one event"


def _coverage(scheme: Scheme) -> Iterator[str]:
    if signs(scheme) and scheme.covers_body != covers_body(scheme):
        yield (
            "signed: the body is not covered; add body, or say covers_body: false and accept the weaker strength"
            if scheme.covers_body
            else "covers_body: false, but the body is covered"
        )


def _digest(scheme: Scheme) -> Iterator[str]:
    if scheme.kind in {"hmac", "hash"} and scheme.digest == "sha1" and not scheme.legacy_digest:
        yield "digest: sha1 is obsolete; say legacy_digest: true if the provider offers nothing better"


def _timestamps(scheme: Scheme) -> Iterator[str]:
    if not scheme.timestamp:
        if "timestamp" in scheme.signed:
            yield "timestamp: it is signed, so say where it is"
        if scheme.tolerance_s is not None:
            yield "tolerance_s: there is no timestamp to judge"
        return
    if scheme.tolerance_s is None:
        yield "tolerance_s: a timestamp without a tolerance never goes stale"
    elif scheme.tolerance_s <= 0:
        yield "tolerance_s: must be positive"
    elif scheme.tolerance_s < scheme.retry_window_s and not scheme.restamped:
        yield "tolerance_s: shorter than the retry window, so the last attempts would be too old"
    if not is_signed(scheme, scheme.timestamp) and not scheme.advisory:
        yield "timestamp: nothing signs it, so its age proves nothing; sign it, or say advisory: true"
    if "signature:" in scheme.timestamp and not scheme.separator:
        yield "timestamp: signature:KEY needs a separator"


def _layout(scheme: Scheme) -> Iterator[str]:
    if len(scheme.separator) > 1:
        yield "separator: one character"
    if scheme.separator and not scheme.prefix:
        yield "prefix: a list of signatures needs the label that marks the good ones"


def _twilio(scheme: Scheme) -> Iterator[str]:
    if "twilio-body" in scheme.signed and (scheme.form != "fields" or "url" not in scheme.signed):
        yield "signed: twilio-body needs url beside it, and form: fields"


def _reading(scheme: Scheme) -> Iterator[str]:
    if scheme.implies and not scheme.event:
        yield "implies: there is no event type to hold against the body"
    if scheme.batch and scheme.id and not any(source.startswith("item:") for source in scheme.id):
        yield "id: the items of a batch would share it, and all but the first count as duplicates; add an item: source"
    if scheme.dedup_ttl_s <= 0:
        yield "dedup_ttl_s: must be positive"
    elif scheme.dedup_ttl_s < (scheme.tolerance_s or 0) + scheme.retry_window_s:
        yield "dedup_ttl_s: shorter than the tolerance, or than a repetition may take; it would count as another event"
    if scheme.success_status not in _SUCCESS:
        yield "success_status: providers take 2xx for success, and nothing else"


def _body(scheme: Scheme) -> Iterator[str]:
    if not _MIN_BODY <= scheme.max_body_bytes <= _MAX_BODY:
        yield f"max_body_bytes: {_MIN_BODY} to {_MAX_BODY}, as a route may say"


def _replies(scheme: Scheme) -> Iterator[str]:
    for reply in scheme.replies:
        if reply.form and scheme.form in {"refused", "text"}:
            yield "replies: no form is taken, so none is answered"
        if reply.body and scheme.success_status == _NO_CONTENT:
            yield "replies: 204 has no body"
        if reply.body and not reply.media_type:
            yield "replies: say which media type the body has"
    if not all(reply.form for reply in scheme.replies[:-1]):
        yield "replies: what follows a reply to everything is never said"


def _handshakes(scheme: Scheme) -> Iterator[str]:
    for index, rule in enumerate(scheme.handshake):
        for field, problem in (*_asked(rule), *_visited(scheme, rule), *_answered(scheme, rule)):
            yield f"handshake[{index}].{field}: {problem}"


def _asked(rule: HandshakeRule) -> Iterator[tuple[str, str]]:
    if rule.method == "POST" and not rule.when and not comes_first(rule):
        yield "when", "without a condition every delivery would be taken for one"
    for at, match in enumerate(rule.when):
        if match.verify_token and match.equals is not None:
            yield f"when[{at}].equals", "the verify token is what the value is compared with, so leave equals out"
        if match.verify_token and not comes_first(rule):
            yield f"when[{at}].verifyToken", "a token is shown in the query; what is verified needs none"


def _visited(scheme: Scheme, rule: HandshakeRule) -> Iterator[tuple[str, str]]:
    if rule.visit and (comes_first(rule) or not signs(scheme)):
        yield "visit", "only an address that is signed is visited"
    if rule.visit and (rule.body or rule.echo or rule.proof):
        yield "visit", "the answer is that it has been visited, and has no body"
    if bool(rule.visit) != rule.visit_at.startswith("https://"):
        yield "visit_at", "say what the address must be like, from https:// on"


def _answered(scheme: Scheme, rule: HandshakeRule) -> Iterator[tuple[str, str]]:
    if rule.method == "HEAD" and (rule.body or rule.echo or rule.proof):
        yield "method", "the answer to HEAD has no body; ask by GET"
    if rule.body and (rule.echo or rule.proof):
        yield "body", "echo or proof make the body, so leave it out"
    if rule.proof and (scheme.kind != "hmac" or not named_source(rule.proof)[0]):
        yield "proof", "write it as NAME=SOURCE; it needs a shared secret, kind hmac"
    if rule.proof and rule.echo and not named_source(rule.echo)[0]:
        yield "echo", "beside a proof, write it as NAME=SOURCE"
    if rule.status not in _SUCCESS:
        yield "status", "must be 2xx"


_RULES: Final[tuple[Callable[[Scheme], Iterator[str]], ...]] = (
    _fetching,
    _inner,
    _coverage,
    _digest,
    _timestamps,
    _layout,
    _twilio,
    _reading,
    _body,
    _replies,
    _handshakes,
)
