"""Where at GitHub an event is from, read of its verified payload: of what GitHub itself writes there, nobody else."""

import re
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
    repo: _Repository = _Repository()


class _Head(msgspec.Struct, frozen=True):
    sha: str = ""


class _Numbered(msgspec.Struct, frozen=True):
    number: int = 0
    head: _Head = _Head()
    base: _Base = _Base()


class _Run(msgspec.Struct, frozen=True):
    head_sha: str = ""
    pull_requests: tuple[_Numbered, ...] = ()


class _Comment(msgspec.Struct, frozen=True):
    id: int = 0
    in_reply_to_id: int | None = None
    commit_id: str | None = None


class _Thread(msgspec.Struct, frozen=True):
    comments: tuple[_Comment, ...] = ()


class _Event(msgspec.Struct, frozen=True):
    repository: _Repository = _Repository()
    issue: _Numbered | None = None
    pull_request: _Numbered | None = None
    discussion: _Numbered | None = None
    comment: _Comment = _Comment()
    thread: _Thread = _Thread()
    check_run: _Run = _Run()
    check_suite: _Run = _Run()
    workflow_run: _Run = _Run()
    workflow_job: _Run = _Run()
    merge_group: _Run = _Run()
    deployment: _Head = _Head()


class _Pushed(msgspec.Struct, frozen=True):
    """What stands at the top of events about a commit alone, and elsewhere means something else."""

    after: str = ""
    sha: str = ""


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
    if not re.fullmatch(r"[1-9][0-9]{0,9}", number.strip(), re.ASCII):
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
    repository = event.repository.full_name
    if not _REPOSITORY.fullmatch(repository):
        raise SinkRefused(f"{delivery.event or 'the event'} is from no repository of GitHub; set repository and number")
    owner, _, name = repository.partition("/")
    return Place(
        owner,
        name,
        number=_number(event),
        discussion=event.discussion.number if event.discussion else 0,
        sha=next(filter(_SHA.fullmatch, _commits(event, pushed)), ""),
        thread=_thread(event, kind),
        id=event.repository.id,
    )


def _number(event: _Event) -> int:
    if about := event.issue or event.pull_request:
        return about.number
    runs = (event.check_run, event.check_suite, event.workflow_run)
    pulls = [pull for run in runs for pull in run.pull_requests]
    return next((pull.number for pull in pulls if pull.base.repo.id == event.repository.id), 0)  # forks' have others


def _commits(event: _Event, pushed: _Pushed) -> tuple[str, ...]:
    runs = (event.check_run, event.check_suite, event.workflow_run, event.workflow_job, event.merge_group)
    return (
        event.pull_request.head.sha if event.pull_request else "",
        *(run.head_sha for run in runs),
        event.deployment.sha,
        event.comment.commit_id or "",
        pushed.after,
        pushed.sha,
    )


def _thread(event: _Event, kind: str) -> int:
    match kind:
        case "pull_request_review_comment":
            return event.comment.in_reply_to_id or event.comment.id
        case "pull_request_review_thread" if event.thread.comments:
            return event.thread.comments[0].id
        case _:
            return 0
