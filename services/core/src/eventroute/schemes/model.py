"""One row of the scheme table: how one provider signs and delivers, as plain data.

A row travels inside the sealed route table, and `spec.custom` of a manifest becomes one, so it holds nothing that JSON
cannot carry. What a row's columns imply (is the delivery id signed? which headers are secret?) is derived in
`eventroute.schemes.derived`, never declared; `eventroute.schemes.lint` refuses rows that contradict themselves.

Values are named by *sources*:

    header:NAME       a request header, which must stand exactly once
    signature:KEY     the KEY=… entry of a signature header that is a list (Stripe's `t`)
    body:PATH         a value of the parsed body; PATH is dotted, `[]` is the only element of a list
    item:PATH         a value of one batch item; of the body, where the row has no batch

Several sources joined with `|` are alternatives: the first that is present counts.
"""

from enum import StrEnum
from typing import Literal

import msgspec

Kind = Literal["hmac", "hash", "ed25519", "ecdsa-p256", "certificate", "oidc", "token", "basic", "none", "inside"]
"""How the sender proves itself.

hmac        a keyed MAC of the signed parts
hash        a plain hash of the secret and the signed parts (HubSpot v1 and v2); weaker, and never chosen anew
ed25519, ecdsa-p256   a public key checks the signed parts
certificate   so does an RSA key, in a certificate at an address that the message names and `keys_at` allows
oidc        a token of the provider's (RS256), signed with one of the keys at `keys_at`, says who sends, and to whom
token       the secret itself, in a header
basic       the secret is `user:password`, as HTTP basic authentication
none        nothing: anybody who knows the URL may post
inside      nobody outside can: its events are answers of other routes, and no request has a URL here
"""

Encoding = Literal["hex", "base64", "base64url"]
"""Lower-case hex; padded base64; unpadded base64 of the URL alphabet. No other spelling of a signature is accepted."""

Digest = Literal["sha256", "sha512", "sha1"]

KeyForm = Literal["utf8", "whsec", "whpk", "base64", "hex", "spki", "topic", "account"]
"""How the configured text becomes a key: as it is; base64 after an optional `whsec_`; base64 after `whpk_`; base64;
hex; base64 of a DER SubjectPublicKeyInfo. Where keys are fetched, it names whom to believe instead: the ARN of a topic;
a service account's address and, after a space, the audience of its tokens."""

UrlForm = Literal["exact", "hubspot", "any-port"]
"""How a provider spells the public URL that it signs: as configured; with HubSpot's list of percent-escapes decoded;
with or without a port (Twilio)."""

FormUse = Literal["refused", "payload", "fields", "payload-or-fields", "text"]
"""What a form-encoded body means: nothing; its one `payload` field is the JSON; its fields are an object; either. Or
nothing, but JSON may be declared as `text/plain`."""


class Strength(StrEnum):
    """What a successful verification proves."""

    VERIFIED = "verified"
    """The body is covered by a key."""
    AUTHENTICATED = "authenticated"
    """The sender knew a secret; the body is not, or not wholly, covered."""
    OPEN = "open"
    """Nothing."""


class Match(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition of a handshake."""

    source: str
    equals: str | None = None
    """The value as text; None = the value must be absent."""
    verify_token: bool = False
    """The value must be the route's verify token, which is compared in constant time."""


class HandshakeRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that sets a webhook up, and the answer that it wants; it starts nothing.

    Rules for POST are judged after verification, unless they read the query; these, and rules for other methods, need
    none, as nothing is signed there. What they answer is nobody's secret, and cannot be a page or a signed body.

    What no rule can say is a secret that comes with the request and is to be kept (Asana's `X-Hook-Secret`): whoever
    asks first would choose it.
    """

    method: Literal["POST", "GET", "HEAD", "OPTIONS"] = "POST"
    when: tuple[Match, ...] = ()
    """All must hold."""
    status: int = 200
    body: str = ""
    """JSON sent as it stands."""
    echo: str = ""
    """`NAME=SOURCE`: the answer is a JSON object with this value; `SOURCE`: it is the value itself, as plain text. At
    most 1,024 characters, and of harmless ones where nobody has signed them or no JSON holds them."""
    proof: str = ""
    """`NAME=SOURCE`: the answer is a JSON object whose NAME is the row's signature of the value, made with the key that
    has verified the request, or with the current one: it proves to the sender that we hold it, and nothing to us."""
    proof_prefix: str = ""
    """Stands before that signature."""
    visit: str = ""
    """Source of a URL that says yes to the provider once it has been fetched; only then the answer is given."""
    visit_at: str = ""
    """What such a URL must be like: a regular expression for all of it."""
    headers: tuple[tuple[str, str], ...] = ()
    allowed_origins: tuple[str, ...] = ()
    """CloudEvents abuse protection: the senders whose `WebHook-Request-Origin` is granted; empty = not asked for."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a success says to a sender that shows or parses it."""

    form: bool = False
    """Only to a form; else to any body."""
    media_type: str = ""
    """Empty = there is no `Content-Type`."""
    body: str = ""
    """Sent as it stands."""


class Scheme(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, cache_hash=True):
    """One provider's product."""

    name: str
    docs: str = ""
    """Where the provider says so: a page, or a file of its SDK."""
    kind: Kind = "hmac"

    signature: str = ""
    """Source of the signature, token or basic credentials; a header, or a body path where the body carries it. A token
    may stand in the items of a batch, and must then be in each of them."""
    separator: str = ""
    """Splits a list of signatures, one character; empty = exactly one signature."""
    prefix: str = ""
    """Stands before each signature: `sha256=`, `v1,`, `Bearer `. In a list, entries without it are not looked at."""
    encoding: Encoding = "hex"
    digest: Digest = "sha256"
    legacy_digest: bool = False
    """Says out loud that SHA-1 is meant."""
    key: KeyForm = "utf8"
    keys_at: str = ""
    """Where keys are fetched from: the address of a JSON Web Key Set, or a regular expression for all of the address of
    a certificate. A certificate of the message's own choice would prove nothing."""
    issuers: tuple[str, ...] = ()
    """Who may have issued a token."""

    signed: tuple[str, ...] = ()
    """The signed bytes, in order: `body`, `timestamp`, `method`, `url`, `text:LITERAL`, any header or body source
    (`?` after a source: empty when absent), or `twilio-body`: a form's sorted parameters, or nothing for JSON, whose
    SHA-256 must then equal the URL's `bodySHA256`; or `sns-body`: the names and values that AWS signs of a message."""
    covers_body: bool = True
    """False says out loud that the signed parts leave the body out; the strength is then `authenticated`."""
    url: UrlForm = "exact"

    timestamp: str = ""
    """Source of the time of sending."""
    timestamp_unit: Literal["s", "ms", "rfc3339"] = "s"
    tolerance_s: int | None = None
    """How far the timestamp may be from now, either way, both edges included."""
    retry_window_s: int = 0
    """How long after the first attempt the provider still sends a delivery again; 0 = it does not say."""
    restamped: bool = False
    """Each attempt has a timestamp of its own. Else the last one still has the first one's, and must not be too old."""
    advisory: bool = False
    """The timestamp is judged although nothing signs it: that finds wrong clocks, and proves nothing."""

    event: tuple[str, ...] = ()
    """Sources of the event type's parts, joined with `.` up to the first absent one."""
    implies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """First part of the event type → body keys that such an event has. A body without them contradicts its header."""
    ignored_events: tuple[str, ...] = ()
    """Answered with success, and start nothing: test events."""
    actor: tuple[str, ...] = ()
    """Sources of names of whoever caused the event: a route knows its own actions by them."""
    id: tuple[str, ...] = ()
    """Sources of the delivery id's parts; all must be present, else the delivery has no id."""
    dedup_ttl_s: int = 86_400
    """How long an accepted delivery is remembered: not less than the provider sends it again, and a repetition of its
    last attempt is not too old."""
    batch: str = ""
    """`body`, or `body:PATH`: a list of which each item is an event of its own. An object there counts as one item."""
    form: FormUse = "refused"
    inner: str = ""
    """`text:PATH` or `base64:PATH`: a value of the body that holds the message itself. A JSON object or list in it
    stands in its place in the payload, and so does text that was base64."""
    max_body_bytes: int = 1 << 20
    """The largest body that the provider sends, where it is known to send more than most; a route may say otherwise."""
    alike: bool = False
    """Equal bodies without an id are events of their own: each says in the same words that something has changed."""
    document: Literal["object", "any"] = "object"
    """Any: the body may be any JSON value, and an empty one counts as null."""

    handshake: tuple[HandshakeRule, ...] = ()
    patience_s: int = 0
    """How long a receipt waits for Redis where the provider never sends again by itself: less than that waits for us.
    0 = it sends again, and hears at once that it should."""
    success_status: int = 200
    replies: tuple[Reply, ...] = ()
    """Instead of the JSON that names the delivery: the first one that applies."""
    stop_headers: tuple[tuple[str, str], ...] = ()
    """Sent with the refusal of what is genuine and cannot be read, so that the provider does not send it again."""
