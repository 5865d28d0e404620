"""GitHub's API, as far as answers are written: REST and GraphQL over one state, checking what GitHub checks.

Bodies are judged by GitHub's own description of them (`tests/data/README.md`); queries were checked against its schema,
https://docs.github.com/public/fpt/schema.docs.graphql, when they were written, and are told apart by what they ask for.
"""

import asyncio
import base64
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from eventroute.runtime.probe_port import serving

DATA: Final = Path(__file__).parents[1] / "data"

TOKEN: Final = "github_pat_11AAAAAAA0of0a0test00000"
APP: Final = 4711
INSTALLATION: Final = 90210
REPOSITORY: Final = "northwind/checkout"
ISSUE: Final = 1284
DISCUSSION: Final = 77
THREAD: Final = 5001
SHA: Final = "ab" * 20
MAX_BODY: Final = 65_536

OURS: Final = "platform-notes[bot]"

_BODIES: Final[dict[str, Any]] = msgspec.json.decode((DATA / "github_rest.json").read_bytes())
_JSON_TYPES: Final = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}

_PATHS: Final = (
    ("issue comment", rf"/issues/{ISSUE}/comments"),
    ("comment", r"/(?:issues/|pulls/)?comments/(?P<id>\d+)"),
    ("commit comment", rf"/commits/{SHA}/comments"),
    ("review comments", rf"/pulls/{ISSUE}/comments"),
    ("reply", rf"/pulls/{ISSUE}/comments/{THREAD}/replies"),
    ("labels", rf"/issues/{ISSUE}/labels"),
    ("check runs", rf"/commits/{SHA}/check-runs"),
    ("check run", r"/check-runs(?:/(?P<id>\d+))?"),
    ("installation", r"/installation"),
)
_TYPES: Final[dict[str, type]] = {"String": str, "Int": int, "ID": str, "GitObjectID": str, "[ID!]": list}


@cache
def app_key() -> RSAPrivateKey:
    """Make the App's key, once."""
    return generate_private_key(public_exponent=65_537, key_size=2048)


def app_pem() -> bytes:
    """Write the App's key as GitHub hands it out."""
    return app_key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@dataclass
class Comment:
    """A comment, wherever it stands."""

    id: int
    place: str
    author: str
    body: str

    @property
    def node_id(self) -> str:
        """Name it as GraphQL does."""
        return f"C_{self.id}"


Says = tuple[int, str, dict[str, str]]


@dataclass
class Github:
    """Does what it is asked, unless it is told to answer otherwise."""

    url: str = ""
    comments: list[Comment] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    """Those of installations, by the repository that each is for."""
    lifetime_s: float = 3600
    repository: str = REPOSITORY
    renamed_from: str = ""
    asked: list[str] = field(default_factory=list)
    """Methods and paths, in their order."""
    says: Callable[[str], Says | None] = lambda _: None
    """Status, body and headers of an answer to this method and path; nothing is done then."""
    cuts: Callable[[str], bool] = lambda _: False
    """Whether what was done is not told of."""
    hangs: bool = False
    meet: asyncio.Barrier | None = None
    """Where those that write wait for each other."""
    _next: int = 3_000_000_000  # ids of comments have outgrown 32 bits

    def add(self, body: str, *, author: str = OURS, place: str = f"issue {ISSUE}") -> Comment:
        """Write a comment."""
        self._next += 1
        found = Comment(self._next, place, author, body)
        self.comments.append(found)
        return found

    def at(self, place: str = f"issue {ISSUE}", *, author: str = OURS) -> list[str]:
        """Show the comments of somebody in a place."""
        return [comment.body for comment in self.comments if (comment.place, comment.author) == (place, author)]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer anything."""
        asked = f"{request.method} {request.path}"
        self.asked.append(asked)
        while self.hangs:
            await asyncio.sleep(0.01)
        if asked.startswith("POST") and not asked.endswith("/graphql") and self.meet:
            await self.meet.wait()
        if told := self.says(asked):
            return _say(*told)
        done = await self._answer(request)
        if self.cuts(asked) and request.transport:
            request.transport.abort()
        return done

    async def _answer(self, request: web.Request) -> web.Response:
        headers = request.headers
        if not headers.get("User-Agent") or headers.get("X-GitHub-Api-Version", "2022-11-28") != "2022-11-28":
            return _error(403 if "User-Agent" not in headers else 400)
        bearer = headers.get("Authorization", "").removeprefix("Bearer ")
        sent = await request.read()
        if sent and request.content_type != "application/json":
            return _error(415)
        body = msgspec.json.decode(sent) if sent else {}
        if request.path == "/graphql":
            return self._graphql(bearer, body) if self._knows(bearer, self.repository) else _error(401)
        if found := re.fullmatch(r"/app/installations/(\d+)/access_tokens", request.path):
            return self._make_token(bearer, int(found[1]), body)
        if self.renamed_from and request.path.startswith(f"/repos/{self.renamed_from}/"):
            rest = request.path_qs.removeprefix(f"/repos/{self.renamed_from}")
            return _say(307, "", {"Location": f"{self.url}/repositories/1{rest}"})
        path = re.sub(r"^/repositories/1/", f"/repos/{self.repository}/", request.path)
        if not path.startswith(f"/repos/{self.repository}/"):
            return _error(404)
        return self._rest(request, path.removeprefix(f"/repos/{self.repository}"), bearer, body)

    def _rest(self, request: web.Request, path: str, bearer: str, body: dict[str, Any]) -> web.Response:
        matches = ((operation, re.fullmatch(pattern, path)) for operation, pattern in _PATHS)
        operation, found = next(((name, match) for name, match in matches if match), ("", None))
        if found is None:
            return _error(404)
        if operation == "installation":
            return web.json_response({"id": INSTALLATION}) if self._is_app(bearer) else _error(401)
        if not self._knows(bearer, self.repository):
            return _error(401)
        if request.method != "GET" and (mistake := _mistake(request.method, operation, body)):
            return mistake
        return self._do(request, operation, found.groupdict().get("id"), body)

    def _do(self, request: web.Request, operation: str, id: str | None, body: dict[str, Any]) -> web.Response:  # noqa: A002
        match request.method, operation:
            case "POST", "issue comment":
                return web.json_response({"id": self.add(body["body"]).id}, status=201)
            case "POST", "commit comment":
                return web.json_response({"id": self.add(body["body"], place=f"commit {SHA}").id}, status=201)
            case "POST", "reply":
                return web.json_response({"id": self.add(body["body"], place=f"thread {THREAD}").id}, status=201)
            case "DELETE", "comment":
                return self._remove(f"C_{id}")
            case "PATCH", "comment":
                return self._update(str(id), body["body"])
            case "GET", "review comments":
                told = [comment for comment in reversed(self.comments) if comment.place == f"thread {THREAD}"]
                assert dict(request.query) == {"sort": "created", "direction": "desc", "per_page": "30"}
                return web.json_response([{"id": c.id, "node_id": c.node_id, "body": c.body} for c in told[:30]])
            case "POST", "labels":
                self.labels += [label for label in body["labels"] if label not in self.labels]
                return web.json_response([{"name": label} for label in self.labels])
            case "GET", "check runs":
                named = [run for run in self.checks if run["name"] == request.query["check_name"]]
                return web.json_response({"total_count": len(named[-1:]), "check_runs": named[-1:]})
            case "POST" | "PATCH", "check run":
                return self._check(request.method, id, body)
            case _:
                return _error(404)

    def _update(self, id: str, text: str) -> web.Response:  # noqa: A002
        found = next((comment for comment in self.comments if str(comment.id) == id), None)
        if found is None:
            return _error(404)
        if found.author != OURS:
            return _error(403, {"X-Accepted-GitHub-Permissions": "issues=write; pull_requests=write"})
        found.body = text
        return web.json_response({"id": found.id})

    def _remove(self, node_id: str) -> web.Response:
        found = next((comment for comment in self.comments if comment.node_id == node_id), None)
        if found is None or found.author != OURS:
            return _error(404 if found is None else 403)
        self.comments.remove(found)
        return web.Response(status=204)

    def _check(self, method: str, id: str | None, body: dict[str, Any]) -> web.Response:  # noqa: A002
        if method == "PATCH":
            self.checks[int(str(id))].update(body)
            return web.json_response({"id": int(str(id))})
        self.checks.append({**body, "id": len(self.checks)})
        return web.json_response({"id": len(self.checks) - 1}, status=201)

    def _make_token(self, bearer: str, installation: int, body: dict[str, Any]) -> web.Response:
        if not self._is_app(bearer):
            return _error(401)
        if installation != INSTALLATION:
            return _error(404)
        if mistake := _mistake("POST", "token", body):
            return mistake
        by_name = {"repositories": [self.repository.partition("/")[2]]}
        if body not in (by_name, {"repository_ids": [1]}):
            return _invalid("invalid")
        token = f"ghs_{len(self.asked)}of0a0test"
        self.tokens[token] = self.repository
        ends = datetime.now(UTC) + timedelta(seconds=self.lifetime_s)
        return web.json_response({"token": token, "expires_at": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}, status=201)

    def _knows(self, bearer: str, repository: str) -> bool:
        return bearer == TOKEN or self.tokens.get(bearer) == repository

    def _is_app(self, bearer: str) -> bool:
        try:
            signed, _, signature = bearer.rpartition(".")
            app_key().public_key().verify(_decoded(signature), signed.encode(), PKCS1v15(), SHA256())
            head, told = (msgspec.json.decode(_decoded(part)) for part in signed.split("."))
        except (InvalidSignature, ValueError, msgspec.DecodeError):
            return False
        now = datetime.now(UTC).timestamp()
        is_now = told["iat"] <= now < told["exp"] <= told["iat"] + 600
        return bool(is_now) and (head["alg"], told["iss"]) == ("RS256", str(APP))

    def _graphql(self, bearer: str, body: dict[str, Any]) -> web.Response:
        del bearer
        query, variables = body["query"], body["variables"]
        declared = dict(re.findall(r"\$(\w+): (\[?\w+!?\]?!?)", query.partition("{")[0]))
        if set(body) != {"query", "variables"} or set(variables) != set(declared):
            return _errors("undefinedVariable")
        for name, kind in declared.items():
            if variables[name] is None and kind.endswith("!"):
                return _errors("undefinedVariable")
            if variables[name] is not None and type(variables[name]) is not _TYPES[kind.removesuffix("!")]:
                return _errors("argumentLiteralsIncompatible")
        if "mutation" in query:
            return self._mutate(query, variables)
        if "ids" in variables:
            return self._nodes(variables["ids"])
        return self._list(query, variables)

    def _list(self, query: str, variables: dict[str, Any]) -> web.Response:
        known = {self.repository, self.renamed_from} - {""}
        if f"{variables['owner']}/{variables['name']}" not in known:
            return _errors("NOT_FOUND", {"repository": None})
        place = f"commit {variables['oid']}" if "oid" in variables else f"issue {variables['number']}"
        if "discussion(" in query:
            place = f"discussion {variables['number']}"
        if place not in {f"issue {ISSUE}", f"discussion {DISCUSSION}", f"commit {SHA}"}:
            return _errors("NOT_FOUND", {"repository": {"subject": None}})
        there = [comment for comment in self.comments if comment.place == place]
        end = len(there) if variables["before"] is None else int(variables["before"])
        start = max(end - 100, 0)
        key: Callable[[int], int | str] = int if "databaseId" in query else str
        nodes = [{"id": c.node_id, "key": key(c.id), "viewerDidAuthor": c.author == OURS} for c in there[start:end]]
        page = {"hasPreviousPage": start > 0, "startCursor": str(start)}
        subject = {"id": f"S {place}", "comments": {"pageInfo": page, "nodes": nodes}}
        return web.json_response({"data": {"repository": {"subject": subject}}})

    def _nodes(self, ids: list[str]) -> web.Response:
        found = {comment.node_id: comment for comment in self.comments}
        nodes = [
            {"id": id, "body": found[id].body, "viewerDidAuthor": found[id].author == OURS} if id in found else None
            for id in ids  # noqa: A001
        ]
        missing = [{"type": "NOT_FOUND", "path": ["nodes"], "message": "gone"} for node in nodes if node is None]
        return web.json_response({"data": {"nodes": nodes}, **({"errors": missing} if missing else {})})

    def _mutate(self, query: str, variables: dict[str, Any]) -> web.Response:
        if "deleteDiscussionComment" in query:
            is_there = self._remove(variables["id"]).status != 404
            told = {"data": {"deleteDiscussionComment": {"comment": {"id": "C"}}}}
            return web.json_response(told) if is_there else _errors("NOT_FOUND")
        if len(variables["body"]) > MAX_BODY:
            return _errors("UNPROCESSABLE")
        if "addDiscussionComment" in query:
            if variables["id"] != f"S discussion {DISCUSSION}":
                return _errors("NOT_FOUND")
            self.add(variables["body"], place=f"discussion {DISCUSSION}")
            return web.json_response({"data": {"addDiscussionComment": {"comment": {"id": "C"}}}})
        found = next((comment for comment in self.comments if comment.node_id == variables["id"]), None)
        if found is None:
            return _errors("NOT_FOUND")
        found.body = variables["body"]
        return web.json_response({"data": {"updateDiscussionComment": {"comment": {"id": "C"}}}})


def _mistake(method: str, operation: str, body: dict[str, Any]) -> web.Response | None:
    found = _BODIES.get(f"{method} {operation}")
    if found and not _fits(body, found["body"]):
        return _invalid("invalid")
    return _invalid("custom") if len(body.get("body", "")) > MAX_BODY else None


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    """Judge by the part of JSON Schema that the description has, and more strictly: nothing may be unknown."""
    if choices := schema.get("oneOf", schema.get("anyOf")):
        return any(_fits(value, choice) for choice in choices)
    if type(value) is not _JSON_TYPES[schema["type"]] or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        if set(schema.get("required", ())) - set(value) or set(value) - set(known):
            return False
        return all(_fits(item, known[name]) for name, item in value.items())
    if isinstance(value, list):
        few = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return few and all(_fits(item, schema["items"]) for item in value)
    return not isinstance(value, str) or len(value) <= schema.get("maxLength", len(value))


def _say(status: int, body: str, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, text=body, headers=headers)


def _error(status: int, headers: dict[str, str] | None = None) -> web.Response:
    told = {"message": "No.", "documentation_url": "https://docs.github.com/rest", "status": str(status)}
    return web.json_response(told, status=status, headers=headers)


def _invalid(code: str) -> web.Response:
    error = {"resource": "IssueComment", "code": code, "field": "body", "message": "body is too long"}
    return web.json_response({"message": "Validation Failed", "errors": [error]}, status=422)


def _errors(kind: str, data: dict[str, Any] | None = None) -> web.Response:
    return web.json_response({"data": data, "errors": [{"type": kind, "message": "No.", "path": ["repository"]}]})


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@contextlib.asynccontextmanager
async def serving_github() -> AsyncIterator[Github]:
    """Run it on a port of its own."""
    github = Github()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/{rest:.*}", github.handle)
    async with serving(app, host="127.0.0.1", port=0) as port:
        github.url = f"http://127.0.0.1:{port}"
        try:
            yield github
        finally:
            github.hangs = False
