"""Comments: the one of ours is found by its first line and updated; otherwise it is made.

GitHub knows no idempotency key. So each comment begins with a line that nobody sees: a keyed name of what it is for,
which strangers cannot make up, and when the event came that it answers. It counts only at the very beginning, where no
answer's text stands, and only in comments whose author is who asks. GraphQL tells that of each comment, and has the
newest first; REST writes, and says which permission is missing.
Sources: https://docs.github.com/en/graphql/reference/objects#issuecomment, https://docs.github.com/en/rest/issues/comments
"""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

import msgspec

from eventroute_worker.outbound import Answer
from eventroute_worker.sinks.github.api import judge, judge_errors, read
from eventroute_worker.sinks.github.client import Client
from eventroute_worker.sinks.github.place import Place
from eventroute_worker.sinks.model import SinkRefused

MAX_BODY: Final = 65_536
"""Characters."""

_PAGES: Final = 5  # of a hundred comments that are looked through for ours, the newest first; arbitrary
_REPLIES: Final = 30  # of a pull request, each with a part of its diff, that are looked through; arbitrary


class Written(NamedTuple):
    """What a comment shall say."""

    own_name: str
    """Of what it is for."""
    received_ms: int
    """When the event came that it answers."""
    marker: str
    """Against loops."""
    text: str
    """Harmless Markdown."""

    def body(self) -> str:
        """Write it with its first line; what is too long is cut, visibly."""
        marker = f" {self.marker}" if self.marker else ""
        first = f"<!-- {self.own_name} {self.received_ms}{marker} -->\n\n"
        return shortened(f"{first}{self.text}", MAX_BODY)

    def received_of(self, body: str) -> int | None:
        """Tell which event's answer is in a comment of this name; None where it has another name, or none."""
        found = re.match(rf"<!-- {re.escape(self.own_name)} ([0-9]{{1,15}})[ a-z0-9-]* -->", body)
        return int(found[1]) if found else None


@dataclass(frozen=True)
class Forum:
    """A kind of place that has comments, and how it calls things."""

    subject: str
    """What has the comments, in GraphQL, below the repository."""
    variable: str
    kinds: tuple[str, ...]
    """What the subject may be."""
    id: str
    """What REST calls a comment by."""
    path: str = ""
    """Where it has them."""

    @property
    def query(self) -> str:
        """Ask for a page of comments, without their texts."""
        listed = (
            "id comments(last: 100, before: $before)"
            f" {{ pageInfo {{ hasPreviousPage startCursor }} nodes {{ id key: {self.id} viewerDidAuthor }} }}"
        )
        kinds = " ".join(f"... on {kind} {{ {listed} }}" for kind in self.kinds)
        return (
            f"query($owner: String!, $name: String!, {self.variable}, $before: String)"
            f" {{ repository(owner: $owner, name: $name) {{ subject: {self.subject} {{ {kinds} }} }} }}"
        )


_ISSUE: Final = Forum(
    "issueOrPullRequest(number: $number)",
    "$number: Int!",
    ("Issue", "PullRequest"),
    "fullDatabaseId",
    "/issues/comments",
)
_DISCUSSION: Final = Forum("discussion(number: $number)", "$number: Int!", ("Discussion",), "databaseId")
_COMMIT: Final = Forum("object(oid: $oid)", "$oid: GitObjectID!", ("Commit",), "databaseId", "/comments")

_BODIES: Final = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Comment { id body viewerDidAuthor } } }"
_ADD: Final = (
    "mutation($id: ID!, $body: String!)"
    " { addDiscussionComment(input: {discussionId: $id, body: $body}) { comment { id } } }"
)
_UPDATE: Final = (
    "mutation($id: ID!, $body: String!)"
    " { updateDiscussionComment(input: {commentId: $id, body: $body}) { comment { id } } }"
)

_DELETE: Final = "mutation($id: ID!) { deleteDiscussionComment(input: {id: $id}) { comment { id } } }"


class _Node(msgspec.Struct, frozen=True):
    id: str
    viewer_did_author: bool = msgspec.field(name="viewerDidAuthor", default=False)
    key: str | int | None = None
    body: str = ""


class _PageInfo(msgspec.Struct, frozen=True, rename="camel"):
    has_previous_page: bool
    start_cursor: str | None


class _Page(msgspec.Struct, frozen=True, rename="camel"):
    page_info: _PageInfo
    nodes: tuple[_Node | None, ...]


class _Subject(msgspec.Struct, frozen=True):
    id: str
    comments: _Page


class _Within(msgspec.Struct, frozen=True):
    subject: _Subject | None


class _Repository(msgspec.Struct, frozen=True):
    repository: _Within | None


class _Listed(msgspec.Struct, frozen=True):
    data: _Repository


class _Nodes(msgspec.Struct, frozen=True):
    nodes: tuple[_Node | None, ...]


class _Bodies(msgspec.Struct, frozen=True):
    data: _Nodes


class _Told(msgspec.Struct, frozen=True):
    errors: tuple[msgspec.Raw, ...] = ()


class _ReviewComment(msgspec.Struct, frozen=True):
    id: int
    node_id: str
    body: str = ""


async def comment(client: Client, place: Place, written: Written) -> None:
    """Write a comment where an event is from; raises `SinkFailed` or `SinkRefused`."""
    forum = _forum(place)
    subject, ours = await _find(client, forum, place, written)
    if ours and await _keep_one(client, forum, ours, written):
        return
    await _create(client, forum, place, subject, written.body())
    _, ours = await _find(client, forum, place, written)
    if len(ours) > 1:  # another worker has not found any either
        await _keep_one(client, forum, ours, written)


async def reply(client: Client, place: Place, written: Written) -> None:
    """Write a reply in a review thread; raises the same."""
    if not place.thread:
        raise SinkRefused("the event is from no review thread; use comment, or have `when` choose those that are")
    listed = await client.ask("GET", f"/pulls/{place.number}/comments?sort=created&direction=desc&per_page={_REPLIES}")
    judge(listed)
    named = {each.node_id: each.id for each in read(listed, tuple[_ReviewComment, ...]) if _is_named(written, each)}
    own = [each for each in await _bodies(client, list(named)) if each.viewer_did_author]
    body = {"body": written.body()}
    if own and _is_there(await client.ask("PATCH", f"/pulls/comments/{named[own[0].id]}", body)):
        return
    judge(await client.ask("POST", f"/pulls/{place.number}/comments/{place.thread}/replies", body))


def shortened(text: str, most: int) -> str:
    """Cut what is too long, visibly."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _forum(place: Place) -> Forum:
    if place.discussion:
        return _DISCUSSION
    if place.number:
        return _ISSUE
    if place.sha:
        return _COMMIT
    raise SinkRefused("the event is about no issue, pull request, discussion or commit; set repository and number")


async def _find(client: Client, forum: Forum, place: Place, written: Written) -> tuple[str, list[_Node]]:
    """Find what the comment is on, and the comments of ours that there are, the oldest first."""
    subject = ""
    async for page in _pages(client, forum, place):
        subject = page.id
        own = {node.id: node.key for node in page.comments.nodes if node and node.viewer_did_author}
        bodies = await _bodies(client, list(own))
        named = [node for node in bodies if written.received_of(node.body) is not None]
        if named:
            return subject, [msgspec.structs.replace(node, key=own[node.id]) for node in named]
    return subject, []


async def _pages(client: Client, forum: Forum, place: Place) -> AsyncIterator[_Subject]:
    before: str | None = None
    about = {"oid": place.sha} if forum is _COMMIT else {"number": place.number or place.discussion}
    for _ in range(_PAGES):
        variables = {"owner": place.owner, "name": place.name, **about, "before": before}
        answer = await client.graphql(forum.query, variables)
        judge_errors(answer)
        repository = read(answer, _Listed).data.repository
        if repository is None or repository.subject is None:
            raise SinkRefused(f"what the event is about is not in {place} any more")
        yield repository.subject
        info = repository.subject.comments.page_info
        if not info.has_previous_page:
            return
        before = info.start_cursor


async def _bodies(client: Client, ids: Sequence[str]) -> list[_Node]:
    """Read comments, in the order of their ids; those that were deleted meanwhile are left out."""
    if not ids:
        return []
    answer = await client.graphql(_BODIES, {"ids": ids})
    judge_errors(answer, may_miss=True)
    found = {node.id: node for node in read(answer, _Bodies).data.nodes if node}
    return [found[id] for id in ids if id in found]  # noqa: A001


async def _keep_one(client: Client, forum: Forum, ours: Sequence[_Node], written: Written) -> bool:
    """Have the oldest say what answers the newest event, and remove the others; False = it was not there any more."""
    newest = max(ours, key=lambda each: written.received_of(each.body) or 0)
    is_newer = (written.received_of(newest.body) or 0) > written.received_ms
    text = newest.body if is_newer else written.body()
    kept, *others = ours
    if kept.body != text and not await _update(client, forum, kept, text):
        return False
    for other in others:
        await _remove(client, forum, other)
    return True


async def _create(client: Client, forum: Forum, place: Place, subject: str, text: str) -> None:
    if forum is _DISCUSSION:
        judge_errors(await client.graphql(_ADD, {"id": subject, "body": text}))
    else:
        on = f"/issues/{place.number}" if forum is _ISSUE else f"/commits/{place.sha}"
        judge(await client.ask("POST", f"{on}/comments", {"body": text}))


async def _update(client: Client, forum: Forum, found: _Node, text: str) -> bool:
    if forum is _DISCUSSION:
        return _is_known(await client.graphql(_UPDATE, {"id": found.id, "body": text}))
    return _is_there(await client.ask("PATCH", f"{forum.path}/{found.key}", {"body": text}))


async def _remove(client: Client, forum: Forum, found: _Node) -> None:
    if forum is _DISCUSSION:
        _is_known(await client.graphql(_DELETE, {"id": found.id}))
    else:
        _is_there(await client.ask("DELETE", f"{forum.path}/{found.key}"))


def _is_there(answer: Answer) -> bool:
    """Tell whether what was to be changed still is there; raises where it was not changed for another reason."""
    if answer.status == HTTPStatus.NOT_FOUND:
        return False
    judge(answer)
    return True


def _is_known(answer: Answer) -> bool:
    """Tell the same by an answer of GraphQL's."""
    judge_errors(answer, may_miss=True)
    return not read(answer, _Told).errors


def _is_named(written: Written, each: _ReviewComment) -> bool:
    return written.received_of(each.body) is not None
