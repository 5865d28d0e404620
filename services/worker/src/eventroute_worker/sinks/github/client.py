"""Asking GitHub as whoever a sink writes as, about one repository."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from eventroute.route_table import GithubApp, GithubToken
from eventroute.secret import Secret
from eventroute_worker.outbound import Answer, Method
from eventroute_worker.sinks.github.api import Asker
from eventroute_worker.sinks.github.app import Tokens
from eventroute_worker.sinks.github.place import Place


class Client:
    """Asks with the token that there is; where an App's is not known any more, once with a new one."""

    def __init__(self, asker: Asker, tokens: Tokens, by: GithubToken | GithubApp, place: Place) -> None:
        """Take who asks, and about which repository."""
        self._asker = asker
        self._tokens = tokens
        self._by = by
        self._place = place

    async def ask(self, method: Method, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Ask REST about the repository; raises `SinkFailed` or `SinkRefused` where there is no answer."""
        url = f"{self._place.path}{path}"
        answer = await self._asker.ask(method, url, await self._bearer(), body)
        if self._is_outdated(answer):
            answer = await self._asker.ask(method, url, await self._bearer(), body)
        return answer

    async def graphql(self, query: str, variables: Mapping[str, Any]) -> Answer:
        """Ask GraphQL; raises the same."""
        body = {"query": query, "variables": variables}
        answer = await self._asker.graphql(await self._bearer(), body)
        if self._is_outdated(answer):
            answer = await self._asker.graphql(await self._bearer(), body)
        return answer

    async def _bearer(self) -> Secret:
        if isinstance(self._by, GithubToken):
            return self._by.token
        return await self._tokens.get(self._asker, self._by, self._place)

    def _is_outdated(self, answer: Answer) -> bool:
        if answer.status != HTTPStatus.UNAUTHORIZED or isinstance(self._by, GithubToken):
            return False
        self._tokens.forget(self._asker, self._by, self._place)
        return True
