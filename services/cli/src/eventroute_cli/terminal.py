"""Texts of strangers on a terminal: what would move its cursor, colour it or hide from its reader is left out."""

from eventroute.fence import clean


def in_a_line(text: str) -> str:
    """Write a text in one line, with single spaces."""
    return " ".join(clean(text).split())
