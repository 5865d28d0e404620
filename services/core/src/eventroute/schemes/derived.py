"""What a row's columns imply: nobody declares these, so nobody can declare them wrongly."""

from collections.abc import Iterable
from typing import Final

from eventroute.schemes.model import HandshakeRule, Scheme, Strength
from eventroute.schemes.source import alternatives

_BODY_PARTS: Final = frozenset({"body", "twilio-body"})
SNS_SIGNED: Final = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
"""What AWS signs of a message where it stands there, in its order."""
_CREDENTIAL_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})


def signs(scheme: Scheme) -> bool:
    """Whether anything of the request is covered by a key, as opposed to a secret that is merely shown."""
    return scheme.kind in {"hmac", "hash", "ed25519", "ecdsa-p256", "certificate"}


def covers_body(scheme: Scheme) -> bool:
    """Whether a changed body cannot pass."""
    return signs(scheme) and not _BODY_PARTS.isdisjoint(scheme.signed)


def strength(scheme: Scheme) -> Strength:
    """What a successful verification proves."""
    if scheme.kind == "none":
        return Strength.OPEN
    return Strength.VERIFIED if covers_body(scheme) or is_inside(scheme) else Strength.AUTHENTICATED


def is_signed(scheme: Scheme, source: str) -> bool:
    """Whether a changed value of this source cannot pass; of alternatives, none may be changeable."""
    if not signs(scheme):
        return False
    if source == scheme.timestamp and "timestamp" in scheme.signed:
        return True
    parts = {part.removesuffix("?") for part in scheme.signed}
    if "sns-body" in parts:
        parts |= {f"body:{name}" for name in SNS_SIGNED}
    return source in parts or all(
        f"{place}:{name}" in parts or (place in {"body", "item"} and covers_body(scheme))
        for place, name in alternatives(source)
    )


def identity_is_signed(scheme: Scheme) -> bool:
    """Whether whoever holds one captured request can neither mint a new delivery id nor change the event type."""
    return all(is_signed(scheme, source) for source in (*scheme.id, *scheme.event))


def timestamp_is_signed(scheme: Scheme) -> bool:
    """Whether an old request cannot be made to look fresh."""
    return bool(scheme.timestamp) and is_signed(scheme, scheme.timestamp)


_NEVER_IN_A_HEADER: Final = frozenset("\r\n\0")


def lending(scheme: Scheme) -> tuple[str, str] | None:
    """Find neighbours in the signed text of which one can lend bytes to the other; None = each part ends where it must.

    Then a captured request can be told in other words under the same signature: with another id, say. A time of sending
    is digits, and a body is an object, so that a text between such a part and a value is enough.
    """
    for part in ("twilio-body", "sns-body"):
        if part in scheme.signed:
            return part, part  # names and values stand side by side, and a value may hold what stands between two
    before, between = "", ""
    for part in (part.removesuffix("?") for part in scheme.signed):
        if part.startswith("text:"):
            between += part.removeprefix("text:")
            continue
        free = [each for each in (before, part) if _is_free(scheme, each)]
        in_headers = all(each.startswith("header:") for each in free)
        ends = bool(between) and (len(free) == 1 or (in_headers and not _NEVER_IN_A_HEADER.isdisjoint(between)))
        if before and free and not ends:
            return before, part
        before, between = part, ""
    return None


def _is_free(scheme: Scheme, part: str) -> bool:
    """Whether a part may be any text."""
    return ":" in part and part != scheme.timestamp


def needs_public_url(scheme: Scheme) -> bool:
    """Whether the provider signs the URL that it calls, so that the route must say what that is."""
    return "url" in scheme.signed


def needs_secret(scheme: Scheme) -> bool:
    """Whether a route of this scheme is refused without a secret."""
    return scheme.kind not in {"none", "inside"}


def is_inside(scheme: Scheme) -> bool:
    """Whether its events come from other routes alone, and every request is refused."""
    return scheme.kind == "inside"


def fetches_keys(scheme: Scheme) -> bool:
    """Whether receivers need the provider's public keys, which they fetch from it."""
    return scheme.kind in {"certificate", "oidc"}


def needs_verify_token(scheme: Scheme) -> bool:
    """Whether a set-up request shows a token of the route's own, without which none could be answered."""
    return any(match.verify_token for rule in scheme.handshake for match in rule.when)


def comes_first(rule: HandshakeRule) -> bool:
    """Whether a handshake is judged before anything is verified: nothing signs what it looks at."""
    texts = (*(match.source for match in rule.when), named_source(rule.echo)[1], named_source(rule.proof)[1])
    return rule.method != "POST" or any(source.startswith("query:") for text in texts for source in text.split("|"))


def named_source(text: str) -> tuple[str, str]:
    """Take `NAME=SOURCE` apart; the name is empty where there is none."""
    name, equals, source = text.partition("=")
    return (name, source) if equals else ("", text)


def credential_paths(scheme: Scheme) -> tuple[str, ...]:
    """Name the paths of a payload at which a shared secret itself stands, as `eventroute.redact` reads them."""
    if "sns-body" in scheme.signed:
        return "UnsubscribeURL", "UnsubscribeUrl"  # whoever visits it ends the subscription
    if scheme.kind not in {"token", "basic"} or not scheme.signature:
        return ()
    sources = [(place, name.replace("[]", "*")) for place, name in alternatives(scheme.signature)]
    paths = [path for place, path in sources if place == "body"]
    of_items = [path for place, path in sources if place == "item"]
    if not scheme.batch:
        return (*paths, *of_items)
    batch = "".join(f"{step}." for step in scheme.batch.split(":")[1:])
    return (*of_items, *(path.removeprefix(batch).removeprefix("*.") for path in paths if path.startswith(batch)))


def telling_headers(scheme: Scheme) -> frozenset[str]:
    """Name the headers, in lower case, that say what an event is and which one."""
    sources = (source for text in (*scheme.event, *scheme.id) for source in alternatives(text))
    return frozenset(name.lower() for place, name in sources if place == "header")


def sensitive_headers(scheme: Scheme, *, others: Iterable[Scheme] = ()) -> frozenset[str]:
    """Name the headers, in lower case, that hold credentials or signatures and must not be stored or shown.

    others  further rows whose signature headers count too: GitHub also sends the legacy header of its neighbours
    """
    return _CREDENTIAL_HEADERS.union(
        name.lower()
        for row in (scheme, *others)
        if row.signature
        for place, name in alternatives(row.signature)
        if place == "header"
    )
