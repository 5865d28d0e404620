"""A value that must not be shown: it does not print, and logs, spans and errors cannot hold it by accident."""

import msgspec


class Secret(msgspec.Struct, frozen=True, array_like=True, repr_omit_defaults=True):
    """Secret bytes as the user stored them; ask for `reveal()` where they are used, nowhere else."""

    _value: bytes

    def reveal(self) -> bytes:
        """Hand out the bytes."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__
