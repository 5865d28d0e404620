"""Where at GitHub an event is from, read of its verified payload: of what GitHub itself writes there, nobody else."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from eventroute.delivery import Delivery
from eventroute_worker.sinks.model import SinkRefused

_REPOSITORY: Final = re.compile(r"[A-Za-z0-9_-]+/(?!\.{1,2}$)[A-Za-z0-9._-]+")
_SHA: Final = re.compile(r"(?!0+$)[0-9a-f]{40,64}")


class _Repository(msgspec.Struct, frozen=True):
    id: int = 0
    full_name: str = ""


class _Base(msgspec.Struct, frozen=True):
    repo: _Repository | None = None


class _Head(msgspec.Struct, frozen=True):
    sha: str | None = None


class _Numbered(msgspec.Struct, frozen=True):
    number: int = 0
    head: _Head | None = None
    base: _Base | None = None


class _Run(msgspec.Struct, frozen=True):
    head_sha: str | None = None
    pull_requests: tuple[_Numbered | None, ...] | None = None


class _Comment(msgspec.Struct, frozen=True):
    id: int = 0
    in_reply_to_id: int | None = None
    commit_id: str | None = None


class _Thread(msgspec.Struct, frozen=True):
    comments: tuple[_Comment, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    """What stands in any of GitHub's events where it stands in one; what does not apply is null in some."""

    repository: _Repository | None = None
    issue: _Numbered | None = None
    pull_request: _Numbered | None = None
    discussion: _Numbered | None = None
    comment: _Comment | None = None
    thread: _Thread | None = None
    check_run: _Run | None = None
    check_suite: _Run | None = None
    workflow_run: _Run | None = None
    workflow_job: _Run | None = None
    merge_group: _Run | None = None
    deployment: _Head | None = None

    @property
    def runs(self) -> Iterator[_Run]:
        """What has run, or waits for that."""
        runs = (self.check_run, self.check_suite, self.workflow_run, self.workflow_job, self.merge_group)
        return (run for run in runs if run)


class _Pushed(msgspec.Struct, frozen=True):
    """What stands at the top of events about a commit alone, and elsewhere means something else."""

    after: str | None = None
    sha: str | None = None


class Place(NamedTuple):
    """A repository, and as much as is known of what the event is about in it."""

    owner: str
    name: str
    number: int = 0
    """Of an issue or pull request."""
    discussion: int = 0
    """Number of a discussion."""
    sha: str = ""
    """Of the head commit."""
    thread: int = 0
    """The first comment of a review thread."""
    id: int = 0
    """Of the repository, whatever it is called by now; 0 where only the name is known."""

    @property
    def path(self) -> str:
        """Where the API has the repository."""
        return f"/repos/{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def named_place(repository: str, number: str) -> Place:
    """Take what the route's owner names; raises `SinkRefused` where that is no number."""
    if not re.fullmatch(r"[1-9][0-9]{0,8}", number.strip(), re.ASCII):
        raise SinkRefused("number: what it says of this event is not the number of an issue; mend the template")
    owner, _, name = repository.partition("/")
    return Place(owner, name, number=int(number))


def place_of(delivery: Delivery) -> Place:
    """Find where an event is from; raises `SinkRefused` for one that is not GitHub's, or from no repository."""
    kind = delivery.event.partition(".")[0]
    try:
        event = msgspec.json.decode(delivery.payload, type=_Event) if delivery.provider == "github" else _Event()
        pushed = msgspec.json.decode(delivery.payload, type=_Pushed) if kind in {"push", "status"} else _Pushed()
    except msgspec.DecodeError:
        event, pushed = _Event(), _Pushed()
    repository = event.repository or _Repository()
    if not _REPOSITORY.fullmatch(repository.full_name):
        raise SinkRefused(f"{delivery.event or 'the event'} is from no repository of GitHub; set repository and number")
    owner, _, name = repository.full_name.partition("/")
    return Place(
        owner,
        name,
        number=_number(event, repository),
        discussion=event.discussion.number if event.discussion else 0,
        sha=next((sha for sha in _commits(event, pushed) if sha and _SHA.fullmatch(sha)), ""),
        thread=_thread(event, kind),
        id=repository.id,
    )


def _number(event: _Event, repository: _Repository) -> int:
    if about := event.issue or event.pull_request:
        return about.number
    pulls = (pull for run in event.runs for pull in run.pull_requests or () if pull)
    return next((pull.number for pull in pulls if _is_of(pull, repository)), 0)


def _is_of(pull: _Numbered, repository: _Repository) -> bool:
    """Tell whether a pull request is this repository's: of a commit that forks have too, theirs are listed as well."""
    return bool(pull.base and pull.base.repo and pull.base.repo.id == repository.id)


def _commits(event: _Event, pushed: _Pushed) -> Iterator[str | None]:
    if event.pull_request and event.pull_request.head:
        yield event.pull_request.head.sha
    yield from (run.head_sha for run in event.runs)
    if event.deployment:
        yield event.deployment.sha
    if event.comment:
        yield event.comment.commit_id
    yield from (pushed.after, pushed.sha)


def _thread(event: _Event, kind: str) -> int:
    if kind == "pull_request_review_comment" and event.comment:
        return event.comment.in_reply_to_id or event.comment.id
    if kind == "pull_request_review_thread" and event.thread and event.thread.comments:
        return event.thread.comments[0].id
    return 0
