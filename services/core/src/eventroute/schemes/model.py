"""Placeholder for the scheme table's columns."""

import msgspec


class Scheme(msgspec.Struct, frozen=True, kw_only=True):
    """One provider."""

    name: str
