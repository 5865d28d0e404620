"""Providers' public keys for commands: of a file, or fetched when a request first names one."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from eventroute.errors import Refused, RetryLater
from eventroute.schemes import Absent, KeyName, PublicKey, Ring, Scheme, parse_keys
from eventroute_receiver.fetch import Document, Fetch, Fetcher

_Keys = Mapping[str, PublicKey]


class ProviderKeys:
    """The keys that requests have named so far."""

    def __init__(self, file: Path | None = None, *, fetch: Fetch | None = None) -> None:
        """Take the file whose keys are to be used, whatever address a request names; None = they are fetched.

        fetch  gets documents; unless given, from the internet
        """
        self.trouble = ""
        """Why keys could not be fetched; empty where all could."""
        self._file = file
        self._fetch = fetch or _fetch
        self._found: dict[str, _Keys | None] = {}

    def ring(self, scheme: Scheme) -> Ring:
        """Find keys for one scheme; raises `Refused` when the file holds none."""

        def find(name: KeyName) -> PublicKey | Absent | None:
            if name.url not in self._found:
                self._found[name.url] = self._read(scheme) if self._file else self._load(scheme, name.url)
            keys = self._found[name.url]
            return None if keys is None else keys.get(name.id, Absent.ABSENT)

        return find

    def _read(self, scheme: Scheme) -> _Keys:
        try:
            keys = parse_keys(scheme, self._file.read_bytes() if self._file else b"")
        except OSError as error:
            raise Refused(f"--keys {self._file}: {error.strerror}") from error
        if keys is None:
            form = "certificate (PEM)" if scheme.kind == "certificate" else "JSON Web Key Set"
            raise Refused(f"--keys {self._file}: not a {form} with an RSA key of 2048 to 4096 bits")
        return keys

    def _load(self, scheme: Scheme, url: str) -> _Keys | None:
        try:
            document = asyncio.run(self._fetch(url))
        except RetryLater as error:
            self.trouble = f"{url}: {error}"
            return None
        if document is None:
            return {}
        keys = parse_keys(scheme, document.body)
        if keys is None:
            self.trouble = f"{url}: answered what is no usable key"
        return keys


async def _fetch(url: str) -> Document | None:
    fetcher = Fetcher()
    try:
        return await fetcher(url)
    finally:
        await fetcher.aclose()
