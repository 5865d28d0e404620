"""How each provider signs and delivers: one declarative table, and one engine over it."""

from eventroute.schemes.model import Scheme

__all__ = ["Scheme"]
