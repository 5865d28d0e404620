"""Texts of strangers on a terminal: what would move its cursor, colour it or hide from its reader is left out."""

from eventroute.fence import clean


def visible(text: str) -> str:
    """Write what cannot be seen as what it is: nobody is to approve something else than they read."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode() for char in text
    )


def in_a_line(text: str) -> str:
    """Write a text in one line, with single spaces."""
    return " ".join(clean(text).split())
