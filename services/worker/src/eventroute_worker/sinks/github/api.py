"""GitHub's API: asking it once, and what its answers mean.

Nothing of an answer's own words is shown: they may repeat what was sent. What is, are statuses, codes and permissions.
Sources: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api,
https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from eventroute.secret import Secret
from eventroute_worker.outbound import Answer, Bounds, Method, Missing, Request
from eventroute_worker.sinks.asking import LONGEST_WAIT_S, Asks, after_s, ask, is_passing, is_success
from eventroute_worker.sinks.model import SinkFailed, SinkRefused

_BOUNDS: Final = Bounds(deadline_s=15, max_bytes=8 * 1024 * 1024)
"""GitHub itself gives up after 10 s; what is long are pages of comments, 65,536 characters each."""
_HEADERS: Final = {
    "accept": "application/vnd.github+json",
    "content-type": "application/json; charset=utf-8",
    "x-github-api-version": "2022-11-28",
}
_WAIT_S: Final = 60.0
"""What GitHub asks for where a secondary limit tells no time."""
_LIMITED: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
_WORD: Final = re.compile(r"[A-Za-z_]{1,64}")
_PERMISSIONS: Final = re.compile(r"[a-z_=,; ]{1,256}")

_LOG_IN: Final = "GitHub does not know the token; store a valid one in the Secret of tokenRef, or install the App anew"
_MAY_NOT: Final = "it may not do this, or the conversation is locked"
_NOT_SEEN: Final = "there is nothing of this name that it sees; give it access to the repository"
_GONE: Final = "it was deleted, or the repository has its issues switched off"
_SIGN_ON: Final = "authorize the token for the organization's single sign-on, in its settings at GitHub"

Form = TypeVar("Form")


class _Error(msgspec.Struct, frozen=True):
    code: str = ""
    type: str = ""


class _Told(msgspec.Struct, frozen=True):
    """What GitHub says of what it did not do."""

    message: str = ""
    documentation_url: str = ""
    errors: tuple[_Error | str, ...] | str = ()
    """Of REST with a code, of GraphQL with a type."""

    @property
    def first(self) -> _Error:
        """The first error that tells more than a sentence."""
        return next((error for error in self.errors if isinstance(error, _Error)), _Error())


class Asker:
    """Asks one API."""

    def __init__(self, way: Asks, base_url: str) -> None:
        """Take the way out, and where the API is."""
        self._way = way
        self.base_url = base_url

    async def ask(self, method: Method, path: str, bearer: Secret, body: Mapping[str, Any] | None = None) -> Answer:
        """Ask once, also where a repository is by now that was renamed; raises `SinkFailed` or `SinkRefused`."""
        answer = await self._ask(method, f"{self.base_url}{path}", bearer, body)
        moved = answer.headers.get("location", "") if answer.is_redirect else ""
        if moved.startswith(f"{self.base_url}/"):  # to nobody else is the token shown
            answer = await self._ask(method, moved, bearer, body)
        return answer

    async def graphql(self, bearer: Secret, body: Mapping[str, Any]) -> Answer:
        """Ask GraphQL once; raises the same."""
        base = self.base_url.removesuffix("/v3") if self.base_url.endswith("/api/v3") else self.base_url
        return await self._ask("POST", f"{base}/graphql", bearer, body)

    async def _ask(self, method: Method, url: str, bearer: Secret, body: Mapping[str, Any] | None) -> Answer:
        headers = {**_HEADERS, "authorization": f"Bearer {bearer.reveal().decode()}"}
        sent = b"" if body is None else msgspec.json.encode(body)
        return await ask(self._way, Request(method, url, headers, sent), _BOUNDS)


def read(answer: Answer, form: type[Form]) -> Form:
    """Read what came with a success; raises `SinkFailed` where that is not of GitHub, or not all of it is there."""
    try:
        return msgspec.json.decode(answer.body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = "is too long" if answer.missing is Missing.TOO_LONG else "is no answer of GitHub's"
        raise SinkFailed(f"HTTP {answer.status}, and what came with it {why}") from error


def judge(answer: Answer, fixes: Mapping[int, str] | None = None) -> None:
    """Pass a success; raises `SinkFailed` or `SinkRefused` for anything else.

    fixes  by status, what to do about it in this place
    """
    if is_success(answer):
        return
    status, told = answer.status, _told(answer)
    if (wait_s := _limit_s(answer, told)) is not None:
        raise SinkFailed(f"HTTP {status}: GitHub's rate limit is reached", after_s=wait_s)
    if is_passing(answer):
        raise SinkFailed(f"HTTP {status}", after_s=after_s(answer))
    if answer.is_redirect:
        raise SinkRefused(
            f"HTTP {status}: the API has moved elsewhere; mend baseURL, or name the repository as it is now"
        )
    raise SinkRefused(f"HTTP {status}: {(fixes or {}).get(status) or _fix(answer, told)}")


def judge_errors(answer: Answer, *, may_miss: bool = False) -> None:
    """Judge an answer of GraphQL's, whose errors come with a success.

    may_miss  what is not found is left out, and no error
    """
    judge(answer)
    told = _told(answer)
    if not told.errors:
        return
    kinds = {error.type for error in told.errors if isinstance(error, _Error)}
    if may_miss and kinds == {"NOT_FOUND"}:
        return
    kind = told.first.type if _WORD.fullmatch(told.first.type) else ""
    if kind == "RATE_LIMITED":
        raise SinkFailed("RATE_LIMITED: GitHub's rate limit is reached", after_s=_reset_s(answer) or _WAIT_S)
    match kind:
        case "":
            raise SinkFailed("GraphQL failed without saying why", after_s=after_s(answer))
        case "NOT_FOUND":
            raise SinkRefused(f"NOT_FOUND: {_NOT_SEEN}")
        case "FORBIDDEN" | "INSUFFICIENT_SCOPES":
            raise SinkRefused(f"{kind}: {_SIGN_ON if 'x-github-sso' in answer.headers else _MAY_NOT}")
        case _:
            raise SinkRefused(f"{kind}: GitHub does not take it; its documentation says why")


def _told(answer: Answer) -> _Told:
    try:
        return msgspec.json.decode(answer.body, type=_Told)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Told()


def _limit_s(answer: Answer, told: _Told) -> float | None:
    """Tell how long a limit asks to wait; None = it is none."""
    if answer.status not in _LIMITED:
        return None
    if (asked_s := after_s(answer)) is not None:
        return asked_s
    if answer.headers.get("x-ratelimit-remaining") == "0":
        return _reset_s(answer) or _WAIT_S
    is_secondary = "secondary rate limit" in told.message.lower() or "rate-limits" in told.documentation_url
    return _WAIT_S if is_secondary or answer.status == HTTPStatus.TOO_MANY_REQUESTS else None


def _reset_s(answer: Answer) -> float | None:
    reset = answer.headers.get("x-ratelimit-reset", "")
    if not re.fullmatch(r"[0-9]{1,12}", reset, re.ASCII):
        return None
    return min(max(float(reset) - time.time(), 1.0), LONGEST_WAIT_S)


def _fix(answer: Answer, told: _Told) -> str:
    match answer.status:
        case HTTPStatus.UNAUTHORIZED:
            return _LOG_IN
        case HTTPStatus.FORBIDDEN if "x-github-sso" in answer.headers:
            return _SIGN_ON
        case HTTPStatus.FORBIDDEN:
            return f"{_MAY_NOT}{_needed(answer)}"
        case HTTPStatus.NOT_FOUND:
            return f"{_NOT_SEEN}{_needed(answer)}"
        case HTTPStatus.GONE:
            return _GONE
        case HTTPStatus.UNPROCESSABLE_ENTITY:
            code = told.first.code
            return f"GitHub does not take it{f', {code}' if _WORD.fullmatch(code) else ''}; its documentation says why"
        case _:
            return "GitHub does not take it; its documentation says why"


def _needed(answer: Answer) -> str:
    """Say which permissions GitHub wants for this, where it tells."""
    needed = answer.headers.get("x-accepted-github-permissions", "")
    return f"; GitHub wants one of these permissions: {needed}" if _PERMISSIONS.fullmatch(needed) else ""
