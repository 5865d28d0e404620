"""Providers whose keys are fetched, made here: what they sign, documents of their keys, and a real server of these."""

import base64
import contextlib
import datetime as dt
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from eventroute.schemes import SCHEMES, Absent, KeyName, PublicKey, Request, Ring, Scheme, parse_keys
from support.certificates import Certified

TOPIC = "arn:aws:sns:eu-central-1:210987654321:alarms"
CERTIFICATE = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
AWS = "https://sns.eu-central-1.amazonaws.com"
ACCOUNT = "pusher@orders.iam.gserviceaccount.com"
AUDIENCE = "https://hooks.example.com/hooks/team-a/triage"
KEY_ID = "7d680d8c70d44e947133cbd499ebc1a61c3d5abc"
TEXT = (b"content-type", b"text/plain; charset=UTF-8")
JSON = (b"content-type", b"application/json")


@cache
def private_key(name: str) -> RSAPrivateKey:
    """Make a key; equal names are one key, and one of them is too short."""
    return generate_private_key(65537, 1024 if name == "short" else 2048)


# --- AWS --------------------------------------------------------------------------------------------------------------


def certificate(name: str = "provider", *, begins: float = 0.0, ends: float = 2e9) -> bytes:
    """Certify a key, by itself: nobody asks who has signed it, as it comes from its provider's own address."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    key = private_key(name)
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), 1)
        .not_valid_before(dt.datetime.fromtimestamp(begins, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(ends, dt.UTC))
        .sign(key, SHA256())
    )
    return made.public_bytes(Encoding.PEM)


def message(
    kind: str = "Notification", *, now: float | None = None, origin: str = AWS, **changes: Any
) -> dict[str, Any]:
    """Write a message of a topic, unsigned; a change to None leaves a part out."""
    sent = dt.datetime.fromtimestamp(time.time() if now is None else now, dt.UTC)
    found: dict[str, Any] = {
        "Type": kind,
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": '{"AlarmName":"disk","NewStateValue":"ALARM"}',
        "Timestamp": sent.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "SignatureVersion": "2",
        "SigningCertURL": f"{origin}/{CERTIFICATE}",
    }
    if kind == "Notification":
        found["UnsubscribeURL"] = f"{origin}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:c9135db0"
    else:
        found["Token"] = "2336412f37"
        found["SubscribeURL"] = f"{origin}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37"
    return {name: value for name, value in (found | changes).items() if value is not None}


def string_to_sign(parts: Mapping[str, Any]) -> bytes:
    """Spell what is signed, from the table in AWS' documentation."""
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if parts.get("Type") != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    return "".join(f"{name}\n{parts[name]}\n" for name in names if name in parts).encode()


def from_aws(
    parts: Mapping[str, Any] | None = None, *, key: str = "provider", header: tuple[bytes, bytes] = TEXT, **after: Any
) -> Request:
    """Sign a message and send it; `after` changes it when it has been signed."""
    parts = message() if parts is None else parts
    hash_ = SHA1() if parts["SignatureVersion"] == "1" else SHA256()  # noqa: S303 - as AWS does
    signature = base64.b64encode(private_key(key).sign(string_to_sign(parts), PKCS1v15(), hash_)).decode()
    body = {name: value for name, value in ({**parts, "Signature": signature} | after).items() if value is not None}
    return Request(method="POST", url=None, headers=[header], body=msgspec.json.encode(body))


# --- Google -----------------------------------------------------------------------------------------------------------


def key_set(*names: str, **changes: Any) -> bytes:
    """Publish keys, by the names that are their ids too; the provider's key has another."""
    keys = []
    for name in names or ("provider",):
        numbers = private_key(name).public_key().public_numbers()
        entry = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID if name == "provider" else name}
        entry |= {"n": b64url(_bytes(numbers.n)), "e": b64url(_bytes(numbers.e))}
        keys.append(entry | changes)
    return msgspec.json.encode({"keys": keys})


def claims(*, now: float | None = None, **changes: Any) -> dict[str, Any]:
    """Say what a token of Pub/Sub says; a change to None leaves a claim out."""
    at = int(time.time() if now is None else now)
    found = {
        "aud": AUDIENCE,
        "azp": "113774264463038321964",
        "email": ACCOUNT,
        "email_verified": True,
        "exp": at + 3600,
        "iat": at,
        "iss": "https://accounts.google.com",
        "sub": "113774264463038321964",
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def token(said: Mapping[str, Any] | None = None, *, key: str = "provider", **head: Any) -> bytes:
    """Sign a token; `head` changes its header."""
    header = {name: value for name, value in ({"alg": "RS256", "kid": KEY_ID, "typ": "JWT"} | head).items() if value}
    text = ".".join(b64url(msgspec.json.encode(part)) for part in (header, claims() if said is None else said)).encode()
    return text + b"." + b64url(private_key(key).sign(text, PKCS1v15(), SHA256())).encode()


def push(data: bytes = b'{"order":7}', *, number: str = "136969346945", **attributes: str) -> dict[str, Any]:
    """Wrap a message as Pub/Sub pushes it."""
    return {
        "message": {
            "attributes": attributes,
            "data": base64.b64encode(data).decode(),
            "messageId": number,
            "publishTime": "2026-02-26T19:13:55.749Z",
        },
        "subscription": "projects/orders/subscriptions/triage",
    }


def from_google(credential: bytes | None = None, payload: Any = None) -> Request:
    """Push a message with a token."""
    headers = [JSON, (b"authorization", b"Bearer " + (token() if credential is None else credential))]
    return Request(
        method="POST", url=None, headers=headers, body=msgspec.json.encode(push() if payload is None else payload)
    )


def b64url(data: bytes) -> str:
    """Spell bytes as in tokens."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


# --- keys that have been fetched --------------------------------------------------------------------------------------


def ring_of(scheme: Scheme, document: bytes, url: str = "") -> Ring:
    """Have one document at hand, and know that there is nothing else."""
    keys = parse_keys(scheme, document) or {}
    at = url or (f"{AWS}/{CERTIFICATE}" if scheme.kind == "certificate" else scheme.keys_at)

    def ring(name: KeyName) -> PublicKey | Absent | None:
        return (keys.get(name.id) if name.url == at else None) or Absent.ABSENT

    return ring


# --- a server ---------------------------------------------------------------------------------------------------------


@dataclass
class KeyServer:
    """Answers with documents by path; every request for one is noted."""

    url: str = ""
    documents: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int = 200
    """Of what is there."""
    hold: threading.Event = field(default_factory=threading.Event)
    """Nothing is answered until it is set."""
    seen: list[str] = field(default_factory=list)

    def scheme(self, provider: str) -> Scheme:
        """Take a row whose keys are here."""
        row = SCHEMES[provider]
        at = re.escape(self.url)
        if row.kind == "oidc":
            return replace(row, keys_at=f"{self.url}/certs")
        pattern, rule = row.keys_at.rpartition("/")[2], row.handshake[0]
        return replace(
            row,
            keys_at=f"{at}/{pattern}",
            handshake=(replace(rule, visit_at=at + rule.visit_at[rule.visit_at.rindex("/") :]),),
        )


@contextlib.contextmanager
def key_server(certified: Certified | None = None) -> Iterator[KeyServer]:
    """Serve while the block runs, at once; by TLS where there is a certificate."""
    known = KeyServer()
    known.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.seen.append(self.path)
            known.hold.wait(20)
            found = known.documents.get(self.path.partition("?")[0])
            self.send_response(404 if found is None else known.status)
            for name, value in known.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(found or b"")))
            self.end_headers()
            with contextlib.suppress(OSError):  # who asked may have given up
                self.wfile.write(found or b"")

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that distrusts it says so by hanging up
    if certified:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certified.certfile, certified.keyfile)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    known.url = f"{'https' if certified else 'http'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield known
    finally:
        known.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
