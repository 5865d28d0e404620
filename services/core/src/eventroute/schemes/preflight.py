"""Set-up requests that are answered before anything is verified: nothing signs them.

Those are the ones of other methods than POST, and those whose challenge stands in the query. What they carry is
therefore never believed, but for a verify token, and starts nothing.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from eventroute.schemes.derived import comes_first
from eventroute.schemes.handshake import Handshake, Judge, build_judge
from eventroute.schemes.key import Key
from eventroute.schemes.model import Scheme
from eventroute.schemes.request import Request
from eventroute.schemes.verify import Rejected


def preflight(
    scheme: Scheme, request: Request, keys: Sequence[Key], *, token: bytes = b""
) -> Handshake | Rejected | None:
    """Answer a set-up request, or refuse it for the token that it shows; None = it is not one.

    request  its body need not have arrived
    keys     the route's, current first
    token    the route's verify token; empty = it has none, and what asks for one is refused
    """
    for judge in _judges(scheme).get(request.method, ()):
        answer = judge(request, keys[0] if keys else None, token)
        if isinstance(answer, Handshake | Rejected):
            return answer
    return None


def comes_early(scheme: Scheme) -> bool:
    """Tell whether there are such requests."""
    return bool(_judges(scheme))


@lru_cache(maxsize=1024)
def _judges(scheme: Scheme) -> Mapping[str, Sequence[Judge]]:
    first = [rule for rule in scheme.handshake if comes_first(rule)]
    return {
        method: [build_judge(scheme, rule) for rule in first if rule.method == method]
        for method in {rule.method for rule in first}
    }
