"""What a success says to its sender, where the provider shows or parses it."""

from typing import Final

from eventroute.schemes.model import Reply, Scheme
from eventroute.schemes.request import Request, media_type

_NOTHING: Final = Reply()
_NO_CONTENT: Final = frozenset({204, 205})


def is_worded(scheme: Scheme) -> bool:
    """Tell whether there is an answer that the provider wants to read."""
    return bool(scheme.replies) or scheme.success_status in _NO_CONTENT


def choose_reply(scheme: Scheme, request: Request) -> Reply | None:
    """Find what the provider wants to read in the answer to a request that was accepted; None = it does not care."""
    if scheme.replies:
        is_form = media_type(request.fields) == "form"
        for reply in scheme.replies:
            if is_form or not reply.form:
                return reply
    return _NOTHING if scheme.success_status in _NO_CONTENT else None
