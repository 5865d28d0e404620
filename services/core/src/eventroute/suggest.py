"""What somebody probably meant: the half of an error message that saves a look into the manual."""

import difflib
from collections.abc import Collection


def nearest(word: str, known: Collection[str]) -> str:
    """Name the known word that is most like this one: `; did you mean "model"?`, or nothing."""
    found = difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f'; did you mean "{found[0]}"?' if found else ""
