"""The sender's side, for development: correctly signed requests of every row. Receivers never import it.

The same compiled parts that verify a request say what to sign, so a row is written once; that they are the provider's
parts is what the published vectors and the providers' own SDKs show.
"""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from eventroute.errors import Refused
from eventroute.outcome import Refusal
from eventroute.payload import Unparsable, read_json
from eventroute.schemes.derived import comes_first, fetches_keys, named_source
from eventroute.schemes.key import FORM_NAMES, parse_key
from eventroute.schemes.message import message_builder
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Request, as_text, at, form_object, media_type, parse_form
from eventroute.schemes.source import Source, alternatives
from eventroute.schemes.verify import encode

_SECRET_BYTES: Final = 32
_BLANKS: Final = " \t\r\n"
_BLANK_COUNT: Final = 40  # 80 random bits
_OWN_FIELD: Final = "eventroute_replay"


class KeyPair(NamedTuple):
    """Two views of one secret; the same bytes wherever the scheme is symmetric."""

    configured: bytes
    """What the route's Secret holds."""
    signing: bytes
    """What the sender signs with."""


def generate_secret(scheme: Scheme) -> KeyPair:
    """Make a random secret of the form that a scheme wants; raises `errors.Refused` where only its provider signs."""
    _only_of_others(scheme)
    match scheme.kind:
        case "ed25519":
            return _spell_pair(scheme, Ed25519PrivateKey.generate())
        case "ecdsa-p256":
            return _spell_pair(scheme, generate_private_key(SECP256R1()))
        case "basic":
            shared = b"eventroute:" + secrets.token_hex(_SECRET_BYTES).encode()
            return KeyPair(shared, shared)
        case _:
            shared = _spell_secret(scheme, secrets.token_bytes(_SECRET_BYTES))
            return KeyPair(shared, shared)


def sign(
    scheme: Scheme,
    request: Request,
    *,
    secret: bytes,
    now: float,
    event: str = "",
    delivery: str = "",
    distinct: bool = False,
) -> Request:
    """Return the request as its provider would have sent it.

    request   with the public URL where the scheme signs it; headers that the provider adds may be missing
    secret    `KeyPair.signing`; a configured secret where the scheme is symmetric
    now       Unix time in seconds, for the timestamp
    event     event type to put where the row reads it; empty = leave what is there
    delivery  delivery id, the same; an id that stands in a header is made up when there is none
    distinct  with a body whose bytes nobody has sent before and that says the same: where an id is not signed, or there
              is none, equal bytes count as a repetition
    raises    `errors.Refused` when the secret cannot sign, only the provider can, or the body is not one that the
              scheme could sign
    """
    _only_of_others(scheme)
    draft = _Draft(scheme, request)
    draft.place_event(event)
    draft.place_delivery(delivery)
    draft.place_signed_values()
    draft.place_timestamp(now)
    if distinct:
        draft.make_distinct()
    if "twilio-body" in scheme.signed:
        draft.place_body_hash()
    match scheme.kind:
        case "none":
            pass
        case "token":
            draft.place_signature(secret)
        case "basic":
            draft.place_signature(base64.b64encode(secret))
        case _:
            draft.place_signature(encode(scheme.encoding, _signature(scheme, draft.signed_bytes(), secret)))
    return draft.request()


def set_up_request(scheme: Scheme, *, verify_token: str = "") -> Request:
    """Return the request by which the provider sets a webhook up, where that is not signed, with a new challenge.

    raises  `errors.Refused` when there is none, or when it shows a verify token and there is none
    """
    rule = next((rule for rule in scheme.handshake if comes_first(rule)), None)
    if rule is None:
        raise Refused(f"{scheme.name}: nothing unsigned sets it up; if something signed does, it is a sample event")
    found: dict[str, dict[str, str]] = {"query": {}, "header": {}}
    for match in rule.when:
        source = alternatives(match.source)[0]
        if match.verify_token and not verify_token:
            raise Refused(f"{scheme.name}: no verify token; give --verify-token, as in the route's verifyTokenRef")
        if match.verify_token or match.equals is not None:
            found[source.place][source.name] = verify_token if match.verify_token else match.equals or ""
    for text in filter(None, (rule.echo, rule.proof)):
        source = alternatives(named_source(text)[1])[0]
        found[source.place][source.name] = secrets.token_hex(16)
    if rule.allowed_origins:
        found["header"]["webhook-request-origin"] = rule.allowed_origins[0]
    headers = [(name.lower().encode(), value.encode()) for name, value in found["header"].items()]
    if rule.method == "POST":
        headers.append((b"content-type", b"text/plain; charset=utf-8"))
    return Request(method=rule.method, url=None, headers=headers, body=b"", query=urlencode(found["query"]))


def _only_of_others(scheme: Scheme) -> None:
    if fetches_keys(scheme):
        raise Refused(
            f"{scheme.name}: only the provider can sign, with keys that receivers fetch from it; "
            f"the route's secret is {FORM_NAMES[scheme.key]}"
        )


class _Draft:
    """A request while it is put together: the one mutable thing here."""

    def __init__(self, scheme: Scheme, request: Request) -> None:
        self._scheme = scheme
        self._method = request.method
        self._url = request.url
        self._headers = dict(request.headers)
        self._body = request.body
        self._stamp = b""

    def request(self) -> Request:
        return Request(method=self._method, url=self._url, headers=tuple(self._headers.items()), body=self._body)

    def place_event(self, event: str) -> None:
        sources = self._scheme.event
        if event and sources:
            for source, part in zip(sources, event.split(".", len(sources) - 1), strict=False):
                self._put(source, part)

    def place_delivery(self, delivery: str) -> None:
        """Set the id's first part, the one that rows put first because it differs most; of each item of a batch."""
        for source in self._scheme.id:
            if "header:" in source and source not in self._scheme.event and not self._has(source):
                self._put(source, _made_up_id())
        if delivery and self._scheme.id:
            self._put(self._scheme.id[0], delivery)

    def place_signed_values(self) -> None:
        """Make up what is signed and was not given: the message id of Standard Webhooks, Mailgun's token."""
        for part in self._scheme.signed:
            is_source = part.startswith(("header:", "body:")) and not part.endswith("?")
            if is_source and part != self._scheme.timestamp and not self._has(part):
                self._put(part, _made_up_id())

    def place_timestamp(self, now: float) -> None:
        scheme = self._scheme
        if not scheme.timestamp:
            return
        text = _spell_time(scheme, now)
        source = alternatives(scheme.timestamp)[0]
        if source.place == "signature":
            self._stamp = f"{source.name}={text}".encode()
            self._headers[self._signature_header()] = self._stamp
        else:
            self._put(scheme.timestamp, text)

    def make_distinct(self) -> None:
        """Add blanks to JSON, which mean nothing, and to a form a field of our own."""
        if not self._body:
            return  # empty bodies never count as repetitions of each other
        blanks = "".join(secrets.choice(_BLANKS) for _ in range(_BLANK_COUNT))
        if media_type(self._headers) != "form":
            self._body += blanks.encode()
        elif self._wraps_json():
            fields = [(name, text + blanks if name == "payload" else text) for name, text in self._fields()]
            self._body = urlencode(fields).encode()
        else:
            self._body += b"&" + urlencode({_OWN_FIELD: _made_up_id()}).encode()

    def place_body_hash(self) -> None:
        if media_type(self._headers) != "form" and self._url is not None:
            mark = "&" if "?" in self._url else "?"
            self._url = f"{self._url}{mark}bodySHA256={hashlib.sha256(self._body).hexdigest()}"

    def place_signature(self, signature: bytes) -> None:
        entry = self._scheme.prefix.encode() + signature
        source = alternatives(self._scheme.signature)[0]
        if source.place == "header":
            joined = self._scheme.separator.encode().join(filter(None, (self._stamp, entry)))
            self._headers[self._signature_header()] = joined
        else:
            self._put(self._scheme.signature, entry.decode())

    def signed_bytes(self) -> bytes:
        messages = message_builder(self._scheme)(self.request())
        if isinstance(messages, Refusal):
            raise Refused(f"{self._scheme.name}: cannot sign this request: {messages}")
        return messages[0]

    def _signature_header(self) -> bytes:
        return alternatives(self._scheme.signature)[0].name.lower().encode()

    def _put(self, text: str, value: str) -> None:
        """Set a value where a source would find it: at the alternative that is there, else in a header if it may."""
        sources = alternatives(text)
        document = self._decoded()
        held = (source for source in sources if self._holds(source, document))
        in_header = (source for source in sources if source.place == "header")
        source = next(held, None) or next(in_header, sources[0])
        if source.place == "header":
            self._headers[source.name.lower().encode()] = value.encode()
            return
        path = tuple(source.name.split("."))
        targets = self._targets(source, document)
        if all(as_text(at(target, path)) == value for target in targets):
            return  # and keep the body's own spelling
        for index, target in enumerate(targets):
            if not _set(target, path, f"{value}-{index}" if index and text in self._scheme.id else value):
                raise Refused(f"{self._scheme.name}: the body has no place for {source.name}")
        self._encode(document)

    def _has(self, text: str) -> bool:
        document = self._decoded()
        return any(self._holds(source, document) for source in alternatives(text))

    def _holds(self, source: Source, document: Any) -> bool:
        if source.place == "header":
            return source.name.lower().encode() in self._headers
        return any(at(target, tuple(source.name.split("."))) is not None for target in self._targets(source, document))

    def _targets(self, source: Source, document: Any) -> list[Any]:
        """The objects that a source speaks of: each item of a batch, or the body."""
        if source.place == "item" and self._scheme.batch:
            _, _, path = self._scheme.batch.partition(":")
            found = at(document, tuple(path.split("."))) if path else document
            return found if isinstance(found, list) else [found]
        return [document]

    def _decoded(self) -> Any:
        """Decode the body; None when it is neither JSON nor a form, and can only be sent as it is."""
        decoded: Any
        if media_type(self._headers) == "json":
            decoded = read_json(self._body)
        elif self._wraps_json():
            decoded = read_json(dict(self._fields())["payload"].encode())
        else:
            decoded = form_object(self._fields())
        return None if isinstance(decoded, Unparsable) else decoded

    def _fields(self) -> tuple[tuple[str, str], ...]:
        fields = parse_form(self._body)
        return () if isinstance(fields, Unparsable) else fields

    def _wraps_json(self) -> bool:
        return self._scheme.form in {"payload", "payload-or-fields"} and "payload" in dict(self._fields())

    def _encode(self, document: Any) -> None:
        encoded = msgspec.json.encode(document)
        if media_type(self._headers) == "json":
            self._body = encoded
        elif self._wraps_json():
            self._body = urlencode({"payload": encoded}).encode()
        else:
            self._body = urlencode(document, doseq=True).encode()


def _set(value: Any, path: tuple[str, ...], new: str) -> bool:
    """Write a value at a path, as a number where a number stood before; False where the path does not fit."""
    for step in path[:-1]:
        if isinstance(value, dict):
            value = value.setdefault(step, {})
        elif step == "[]" and isinstance(value, list) and len(value) == 1:
            value = value[0]
        else:
            return False
    if not isinstance(value, dict):
        return False
    value[path[-1]] = int(new) if isinstance(value.get(path[-1]), int) and new.isdecimal() else new
    return True


def _made_up_id() -> str:
    return f"local-{secrets.token_hex(8)}"


def _spell_time(scheme: Scheme, now: float) -> str:
    match scheme.timestamp_unit:
        case "s":
            return str(int(now))
        case "ms":
            return str(int(now * 1000))
        case "rfc3339":
            return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _signature(scheme: Scheme, message: bytes, secret: bytes) -> bytes:
    match scheme.kind:
        case "hash":
            return hashlib.new(scheme.digest, secret + message).digest()
        case "ed25519" | "ecdsa-p256":
            return _private_signature(scheme, message, secret)
        case _:
            return hmac.digest(_shared_key(scheme, secret), message, scheme.digest)


def _shared_key(scheme: Scheme, secret: bytes) -> bytes:
    material = parse_key(scheme, secret).material
    if not isinstance(material, bytes):
        raise Refused(f"{scheme.name}: not a shared secret")
    return material


def _private_signature(scheme: Scheme, message: bytes, secret: bytes) -> bytes:
    try:
        private = _private_key(scheme, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"{scheme.name}: signing needs the private key, as generate_secret spells it") from error
    if scheme.kind == "ed25519" and isinstance(private, Ed25519PrivateKey):
        return private.sign(message)
    if scheme.kind == "ecdsa-p256" and isinstance(private, EllipticCurvePrivateKey):
        return private.sign(message, ECDSA(SHA256()))
    raise Refused(f"{scheme.name}: signing needs an {scheme.kind} private key")


def _private_key(scheme: Scheme, secret: bytes) -> object:
    match scheme.key:
        case "spki":
            return load_der_private_key(base64.b64decode(secret, validate=True), None)
        case "hex":
            return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret.decode()))
        case _:
            return Ed25519PrivateKey.from_private_bytes(base64.b64decode(secret.removeprefix(b"whsk_"), validate=True))


def _spell_pair(scheme: Scheme, private: Ed25519PrivateKey | EllipticCurvePrivateKey) -> KeyPair:
    """Spell a private key and its public half as `_private_key` and `parse_key` read them."""
    if scheme.key == "spki" or isinstance(private, EllipticCurvePrivateKey):
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return KeyPair(base64.b64encode(public), base64.b64encode(pkcs8))
    public, seed = private.public_key().public_bytes_raw(), private.private_bytes_raw()
    match scheme.key:
        case "hex":
            return KeyPair(public.hex().encode(), seed.hex().encode())
        case "whpk":
            return KeyPair(b"whpk_" + base64.b64encode(public), b"whsk_" + base64.b64encode(seed))
        case _:
            return KeyPair(base64.b64encode(public), base64.b64encode(seed))


def _spell_secret(scheme: Scheme, data: bytes) -> bytes:
    match scheme.key:
        case "whsec":
            return b"whsec_" + base64.b64encode(data)
        case "base64":
            return base64.b64encode(data)
        case _:
            return data.hex().encode()
