"""A GitHub App's tokens: one per repository, kept in this process until shortly before it ends.

Source: https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eventroute.route_table import GithubApp
from eventroute.secret import Secret
from eventroute_worker.outbound import Answer
from eventroute_worker.sinks.github.api import Asker, judge, read
from eventroute_worker.sinks.github.place import Place
from eventroute_worker.sinks.model import SinkFailed

_EARLY_S: Final = 60
"""A clock that is so much ahead of GitHub's does no harm."""
_LIFETIME_S: Final = 540  # from now; GitHub takes ten minutes from the time of issue at most
_SPARE_S: Final = 300
"""A token that ends within this is not used any more."""
_MOST: Final = 1024  # tokens at hand; arbitrary


class _Installation(msgspec.Struct, frozen=True):
    id: int


class _Made(msgspec.Struct, frozen=True):
    token: str
    expires_at: datetime


class _Kept(NamedTuple):
    token: Secret
    until: float


class Tokens:
    """Gets tokens, and keeps them."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Begin without any."""
        self._clock = clock
        self._kept: dict[tuple[object, ...], _Kept] = {}

    async def get(self, asker: Asker, app: GithubApp, place: Place) -> Secret:
        """Find a token for a repository, or have one made; raises `SinkFailed` or `SinkRefused`."""
        key = _key(asker, app, place)
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock():
            kept = await self._make(asker, app, place)
            self._kept[key] = kept
            self._tidy()
        return kept.token

    def forget(self, asker: Asker, app: GithubApp, place: Place) -> None:
        """Have a new one made next time."""
        self._kept.pop(_key(asker, app, place), None)

    async def _make(self, asker: Asker, app: GithubApp, place: Place) -> _Kept:
        bearer = Secret(build_jwt(app, now=self._clock()))
        installation = app.installation
        if installation is None:
            answer = await asker.ask("GET", f"{place.path}/installation", bearer)
            _judge(answer, f"the App is not installed on {place}; install it there, or give it access")
            installation = read(answer, _Installation).id
        body: dict[str, Any] = {"repository_ids": [place.id]} if place.id else {"repositories": [place.name]}
        answer = await asker.ask("POST", f"/app/installations/{installation}/access_tokens", bearer, body)
        _judge(answer, f"the App has no installation {installation}; mend app.installationId, or leave it out")
        made = read(answer, _Made)
        if not made.expires_at.tzinfo or not made.token.isascii() or not made.token.isprintable():
            raise SinkFailed("what GitHub sent is no token")
        return _Kept(Secret(made.token.encode()), made.expires_at.timestamp() - _SPARE_S)

    def _tidy(self) -> None:
        if len(self._kept) > _MOST:
            now = self._clock()
            self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
        while len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]


def build_jwt(app: GithubApp, *, now: float) -> bytes:
    """Sign what an App proves itself with."""
    told = {"iat": int(now) - _EARLY_S, "exp": int(now) + _LIFETIME_S, "iss": str(app.id)}
    signed = _encoded({"alg": "RS256", "typ": "JWT"}) + b"." + _encoded(told)
    key = load_pem_private_key(app.private_key.reveal(), password=None)
    if not isinstance(key, RSAPrivateKey):  # the compiler lets no other one through
        raise TypeError(type(key).__name__)
    return signed + b"." + _base64(key.sign(signed, PKCS1v15(), SHA256()))


def _judge(answer: Answer, where_nothing_is: str) -> None:
    judge(
        answer,
        {
            401: "GitHub does not know the App: app.id and the key of app.privateKeyRef must belong together, and this "
            "machine's clock must be right",
            404: where_nothing_is,
            422: where_nothing_is,
        },
    )


def _key(asker: Asker, app: GithubApp, place: Place) -> tuple[object, ...]:
    digest = hashlib.sha256(app.private_key.reveal()).digest()  # so that a key that was changed finds nothing
    return asker.base_url, app.id, app.installation, digest, str(place).lower()


def _encoded(value: Mapping[str, Any]) -> bytes:
    return _base64(msgspec.json.encode(value))


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
