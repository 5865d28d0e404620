"""An answer is written at GitHub where the event is from, once, and does nothing there but say what it says."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from eventroute.hops import markers, unmarked
from eventroute.ids import DeliveryId, sending_path
from eventroute.outbound import OutboundRules
from eventroute.outcome import DeadReason, RunOutcome
from eventroute.queue import Desk, Lease, State, Wanted
from eventroute.route_table import (
    GithubApp,
    GithubCheckRun,
    GithubComment,
    GithubLabels,
    GithubReply,
    GithubSink,
    GithubTarget,
    GithubToken,
)
from eventroute.secret import Secret
from eventroute_worker.finding import Finder
from eventroute_worker.outbound import Answer, Bounds, Outbound, Request
from eventroute_worker.sending import Sender
from eventroute_worker.sinks import RemoteSinks, Result, SinkFailed, SinkRefused
from eventroute_worker.sinks.github import GithubSinkWriter
from eventroute_worker.sinks.github.app import Tokens
from support.github import (
    APP,
    DISCUSSION,
    INSTALLATION,
    ISSUE,
    MAX_BODY,
    REPOSITORY,
    SHA,
    THREAD,
    TOKEN,
    Github,
    app_pem,
    serving_github,
)
from support.queue import GROUP, admit, upkeep_of, work_on
from support.runs import PATH, FakeClaude, FakeRoutes, answer, build_runner, sample_delivery, worker_route
from support.worker import running, until_empty

OURSELVES = markers(Secret(b"k" * 32))
MARKER = OURSELVES.write(1)
REPO = {"id": 1, "full_name": REPOSITORY}
PULL = {"repository": REPO, "pull_request": {"number": ISSUE, "head": {"sha": SHA}}}
PUSH = {"repository": REPO, "after": SHA, "ref": "refs/heads/main"}
IN_THREAD = {**PULL, "comment": {"id": 5009, "in_reply_to_id": THREAD}}
DISCUSSED = {"repository": REPO, "discussion": {"number": DISCUSSION}}
ALL = GithubComment(update=True)
EACH = GithubComment(update=False)
CHECK = GithubCheckRun(name="claude", conclusion="neutral")


@pytest.fixture
async def github() -> AsyncIterator[Github]:
    async with serving_github() as found:
        yield found


def app(**changes: Any) -> GithubApp:
    fields: dict[str, Any] = {"id": APP, "installation": None, "private_key": Secret(app_pem())}
    return GithubApp(**{**fields, **changes})


def sink(github: Github, write: Any = ALL, *, by: Any = None, **changes: Any) -> GithubSink:
    by = by or GithubToken(token=Secret(TOKEN.encode()))
    return GithubSink(name="github", base_url=github.url, by=by, write=write, **changes)


def result_of(
    text: str = "All is well.",
    *,
    name: str = "d-1",
    payload: Any = PULL,
    event: str = "pull_request.opened",
    provider: str = "github",
    received_ms: int = 1_790_000_000_000,
    **changes: Any,
) -> Result:
    body = msgspec.json.encode(payload)
    delivery = sample_delivery(name, provider=provider, event=event, payload=body, received_ms=received_ms)
    answered = answer(text, **changes)
    lease = Lease(DeliveryId(f"{name}:github"), sending_path(PATH, "github"), 1, GROUP)
    variables = {
        **dict.fromkeys(("headers", "route", "entity", "received_at", "events"), ""),
        "payload": payload,
        "event": event,
        "provider": provider,
        "answer": {"text": text, "value": answered.value},
    }
    return Result(delivery, answered, "", lease, 1, MARKER, lambda: variables, OURSELVES.own_name)


async def send(sink: GithubSink, *results: Result, tokens: Tokens | None = None) -> None:
    async with Outbound(OutboundRules(mode="dev")) as way:
        writer = GithubSinkWriter(way, tokens=tokens)
        for result in results:
            await writer.send(sink, result)


def told(body: str) -> str:
    first, _, text = body.partition("\n\n")
    assert re.fullmatch(r"<!-- eventroute-own-[a-z2-7]{16} [0-9]+ eventroute-hop-01-[a-z2-7]{16} -->", first)
    return text


@pytest.mark.parametrize(
    ("event", "payload", "place"),
    [
        ("pull_request.opened", PULL, f"issue {ISSUE}"),
        ("issues.opened", {"repository": REPO, "issue": {"number": ISSUE}}, f"issue {ISSUE}"),
        ("issue_comment.created", {"repository": REPO, "issue": {"number": ISSUE}, "comment": {"id": 1}}, "issue 1284"),
        ("pull_request_review.submitted", PULL, f"issue {ISSUE}"),
        ("pull_request_review_comment.created", IN_THREAD, f"issue {ISSUE}"),
        ("push", PUSH, f"commit {SHA}"),
        ("commit_comment.created", {"repository": REPO, "comment": {"id": 1, "commit_id": SHA}}, f"commit {SHA}"),
        ("status", {"repository": REPO, "sha": SHA}, f"commit {SHA}"),
        ("check_run.completed", {"repository": REPO, "check_run": {"head_sha": SHA}}, f"commit {SHA}"),
        ("check_suite.completed", {"repository": REPO, "check_suite": {"head_sha": SHA}}, f"commit {SHA}"),
        (
            "workflow_run.completed",
            {
                "repository": REPO,
                "workflow_run": {
                    "head_sha": SHA,
                    "pull_requests": [
                        {"number": 9, "base": {"repo": {"id": 2}}},
                        {"number": ISSUE, "base": {"repo": {"id": 1}}},
                    ],
                },
            },
            f"issue {ISSUE}",
        ),
        (
            "deployment_status.created",
            {"repository": REPO, "deployment": {"sha": SHA}, "check_run": None, "workflow_run": None},
            f"commit {SHA}",
        ),
        (
            "workflow_run.completed",
            {"repository": REPO, "workflow_run": {"head_sha": SHA, "pull_requests": [None]}, "issue": None},
            f"commit {SHA}",
        ),
        ("merge_group.checks_requested", {"repository": REPO, "merge_group": {"head_sha": SHA}}, f"commit {SHA}"),
        ("discussion.created", DISCUSSED, f"discussion {DISCUSSION}"),
        ("discussion_comment.created", {**DISCUSSED, "comment": {"id": 4}}, f"discussion {DISCUSSION}"),
    ],
)
async def test_a_comment_is_written_where_the_event_is_from_and_then_updated(
    github: Github, event: str, payload: Any, place: str
) -> None:
    for text in ("First.", "Second."):
        await send(sink(github), result_of(text, name=f"d-{text}", event=event, payload=payload))
    (body,) = github.at(place)
    assert told(body) == "Second."


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("release.published", {"repository": REPO, "release": {"id": 1}}),
        ("push", {"repository": REPO, "after": "0" * 40}),
        ("push", {"repository": REPO, "after": "../../user"}),
        ("organization.member_added", {"organization": {"login": "northwind"}}),
        ("issues.opened", {"repository": {"full_name": "../.."}, "issue": {"number": ISSUE}}),
        ("issues.opened", {"repository": {"full_name": "a/b/../../c"}, "issue": {"number": ISSUE}}),
        ("issues.opened", {"repository": REPO, "issue": {"number": "1284/../1"}}),
        ("issues.opened", [7]),
    ],
)
async def test_an_event_that_is_from_nowhere_is_refused_before_anybody_is_asked(
    github: Github, event: str, payload: Any
) -> None:
    with pytest.raises(SinkRefused, match="set repository and number"):
        await send(sink(github), result_of(event=event, payload=payload))
    assert github.asked == []


async def test_a_payload_of_another_provider_names_no_repository(github: Github) -> None:
    with pytest.raises(SinkRefused, match="is from no repository of GitHub"):
        await send(sink(github), result_of(provider="custom"))
    assert github.asked == []


async def test_a_route_of_another_provider_writes_where_its_owner_says(github: Github) -> None:
    target = GithubTarget(repository=REPOSITORY, number="{{ payload.ticket }}")
    await send(sink(github, by=app(), target=target), result_of(provider="sentry", payload={"ticket": ISSUE}))
    assert [told(body) for body in github.at()] == ["All is well."]
    for ticket in ("1284/labels", "0", "", "-1", "1284\n9", "9999999999", "١٢"):
        with pytest.raises(SinkRefused, match=r"^number: what it says of this event is not the number of an issue"):
            await send(sink(github, target=target), result_of(provider="sentry", payload={"ticket": ticket}))


async def test_each_answer_has_a_comment_where_the_route_says_so(github: Github) -> None:
    for name in ("d-1", "d-2", "d-2"):
        await send(sink(github, EACH), result_of(name, name=name))
    assert [told(body) for body in github.at()] == ["d-1", "d-2"]


async def test_other_sinks_and_routes_have_comments_of_their_own(github: Github) -> None:
    result = result_of()
    other = result._replace(delivery=msgspec.structs.replace(result.delivery, route="team-b/triage"))
    await send(sink(github), result, other)
    await send(msgspec.structs.replace(sink(github), name="other"), result)
    assert len(github.at()) == 3


async def test_an_older_event_does_not_replace_what_is_said_of_a_newer_one(github: Github) -> None:
    await send(sink(github), result_of("new", received_ms=2000), result_of("old", name="d-0", received_ms=1000))
    assert [told(body) for body in github.at()] == ["new"]


async def test_strangers_comments_are_never_updated(github: Github) -> None:
    await send(sink(github), result_of("First."))
    (copied,) = github.at()
    github.comments.clear()
    github.add(copied, author="mallory")
    await send(sink(github), result_of("Second."))
    assert github.at(author="mallory") == [copied]
    assert [told(body) for body in github.at()] == ["Second."]


async def test_a_copied_name_within_a_text_of_ours_is_no_name(github: Github) -> None:
    await send(sink(github), result_of("First."))
    (copied,) = github.at()
    github.comments.clear()
    await send(msgspec.structs.replace(sink(github), name="other"), result_of(copied))
    github.add(f"As somebody wrote: {copied}")
    before = github.at()
    await send(sink(github), result_of("Second."))
    assert github.at()[:2] == before
    assert told(github.at()[2]) == "Second."


async def test_ours_is_found_behind_hundreds_of_others(github: Github) -> None:
    await send(sink(github), result_of("First."))
    for number in range(430):
        github.add(f"{number}", author="mallory")
    await send(sink(github), result_of("Second."))
    assert [told(body) for body in github.at()] == ["Second."]


async def test_the_search_for_ours_ends(github: Github) -> None:
    await send(sink(github), result_of("First."))
    for number in range(10_000):
        github.add(f"{number}", author="mallory")
    github.asked.clear()
    await send(sink(github), result_of("Second."))
    assert [told(body) for body in github.at()] == ["First.", "Second."]
    assert len(github.asked) == 8


async def test_a_comment_that_is_deleted_in_between_is_written_anew(github: Github) -> None:
    await send(sink(github), result_of("First."))

    def delete(asked: str) -> None:
        if asked.startswith("PATCH"):
            github.comments.clear()

    github.says = delete
    await send(sink(github), result_of("Second."))
    assert [told(body) for body in github.at()] == ["Second."]


async def test_a_comment_that_is_deleted_while_it_is_looked_for_is_written_anew(github: Github) -> None:
    await send(sink(github), result_of("First."))

    def delete(asked: str) -> None:
        if asked == "POST /graphql" and github.asked.count(asked) == 4:
            github.comments.clear()

    github.asked.clear()
    github.says = delete
    github.asked += ["POST /graphql"] * 2
    await send(sink(github), result_of("Second."))
    assert [told(body) for body in github.at()] == ["Second."]


async def test_two_sendings_at_once_write_one_comment(github: Github) -> None:
    async with Outbound(OutboundRules(mode="dev")) as way:
        sinks = GithubSinkWriter(way)
        await asyncio.gather(*(sinks.send(sink(github), result_of(f"{n}", name=f"d-{n}")) for n in range(5)))
    assert len(github.at()) == 1
    assert github.asked.count(WRITES) == 1


async def test_comments_in_different_places_do_not_wait_for_each_other(github: Github) -> None:
    github.meet = asyncio.Barrier(2)
    async with Outbound(OutboundRules(mode="dev")) as way:
        writer = GithubSinkWriter(way)
        results = (result_of(), result_of(payload=PUSH, event="push"))
        await asyncio.gather(*(writer.send(sink(github), result) for result in results))
    assert len(github.comments) == 2


@pytest.mark.parametrize(
    ("payload", "place"),
    [(PULL, f"issue {ISSUE}"), (PUSH, f"commit {SHA}"), (DISCUSSED, f"discussion {DISCUSSION}")],
)
async def test_of_two_comments_that_two_workers_made_one_is_left_and_says_what_is_newer(
    github: Github, payload: Any, place: str
) -> None:
    event = "push" if payload is PUSH else "pull_request.opened"
    github.meet = None if payload is DISCUSSED else asyncio.Barrier(2)
    results = [result_of(f"{n}", name=f"d-{n}", payload=payload, event=event, received_ms=n) for n in (1, 2)]
    await asyncio.gather(*(send(sink(github), result) for result in results))
    assert [told(body) for body in github.at(place)] == ["2"]


@pytest.mark.parametrize(
    ("payload", "place"),
    [(PULL, f"issue {ISSUE}"), (PUSH, f"commit {SHA}"), (DISCUSSED, f"discussion {DISCUSSION}")],
)
async def test_two_comments_that_were_left_become_one(github: Github, payload: Any, place: str) -> None:
    event = "push" if payload is PUSH else "pull_request.opened"
    await send(sink(github), result_of("First.", payload=payload, event=event, received_ms=1))
    (body,), (first,) = github.at(place), github.comments
    github.add(body.replace(" 1 ", " 3 ").replace("First", "Third"), place=place)
    github.add(body, author="mallory", place=place)
    await send(sink(github), result_of("Second.", payload=payload, event=event, received_ms=2))
    assert [told(body) for body in github.at(place)] == ["Third."]
    assert github.comments[0] is first
    assert github.at(place, author="mallory") == [body]


@pytest.mark.parametrize("write", [ALL, EACH, GithubReply(), CHECK])
async def test_what_was_written_without_a_receipt_is_not_written_twice(github: Github, write: Any) -> None:
    result = result_of(payload=IN_THREAD, event="pull_request_review_comment.created")
    by = app() if isinstance(write, GithubCheckRun) else None
    github.cuts = lambda asked: asked.startswith("POST /repos/")
    with pytest.raises(SinkFailed):
        await send(sink(github, write, by=by), result)
    github.cuts = lambda _: False
    await send(sink(github, write, by=by), result)
    assert len(github.comments) + len(github.checks) == 1


async def test_a_reply_stands_in_its_thread(github: Github) -> None:
    for comment in ({"id": 5009, "in_reply_to_id": THREAD}, {"id": THREAD}):
        payload = {**PULL, "comment": comment}
        event = "pull_request_review_comment.created"
        await send(sink(github, GithubReply()), result_of(name=f"d-{comment['id']}", payload=payload, event=event))
    assert [told(body) for body in github.at(f"thread {THREAD}")] == ["All is well."] * 2


async def test_a_thread_that_is_resolved_is_answered_at_its_first_comment(github: Github) -> None:
    payload = {**PULL, "thread": {"comments": [{"id": THREAD}, {"id": 5009}]}}
    await send(sink(github, GithubReply()), result_of(payload=payload, event="pull_request_review_thread.resolved"))
    assert [told(body) for body in github.at(f"thread {THREAD}")] == ["All is well."]


async def test_a_reply_of_a_stranger_is_never_updated(github: Github) -> None:
    result = result_of(payload=IN_THREAD, event="pull_request_review_comment.created")
    await send(sink(github, GithubReply()), result)
    (copied,) = github.at(f"thread {THREAD}")
    github.add(copied, author="mallory", place=f"thread {THREAD}")
    await send(sink(github, GithubReply()), result)
    assert github.at(f"thread {THREAD}", author="mallory") == [copied]
    assert len(github.at(f"thread {THREAD}")) == 1


async def test_there_is_no_reply_where_there_is_no_thread(github: Github) -> None:
    with pytest.raises(SinkRefused, match="the event is from no review thread"):
        await send(sink(github, GithubReply()), result_of())
    assert github.asked == []


@pytest.mark.parametrize(
    ("pick", "value", "added"),
    [
        (None, None, ["bug", "Needs Triage"]),
        ("{{ answer.value.label }}", {"label": "bug"}, ["bug"]),
        ("{{ answer.value.label }}", {"label": "BUG "}, ["bug"]),
        ("{{ answer.value.label }}", {"label": "approved"}, []),
        ("{{ answer.value.labels }}", {"labels": ["needs triage", "approved", "bug"]}, ["bug", "Needs Triage"]),
        ("{{ answer.value.label }}", {"label": "approved, needs triage\nx"}, ["Needs Triage"]),
    ],
)
async def test_only_listed_labels_are_added(github: Github, pick: str | None, value: Any, added: list[str]) -> None:
    labels = GithubLabels(names=("bug", "Needs Triage"), pick=pick)
    await send(sink(github, labels), result_of(value=value))
    assert github.labels == added


async def test_a_check_run_says_how_it_ends(github: Github) -> None:
    await send(sink(github, CHECK, by=app()), result_of("Fine, @ada."))
    (run,) = github.checks
    assert run == {
        "id": 0,
        "name": "claude",
        "head_sha": SHA,
        "status": "completed",
        "conclusion": "neutral",
        "external_id": "d-1:github",
        "output": {"title": "claude", "summary": f"<!-- {MARKER} -->\n\nFine, @\u200bada."},
    }


@pytest.mark.parametrize(("write", "what"), [(GithubLabels(names=("a",), pick=None), "labels"), (CHECK, "check runs")])
async def test_what_the_event_is_about_must_have_such(github: Github, write: Any, what: str) -> None:
    with pytest.raises(SinkRefused, match=f"which alone have {what}"):
        await send(sink(github, write), result_of(event="discussion.created", payload=DISCUSSED))
    assert github.asked == []


async def test_an_answer_is_markdown_that_does_nothing(github: Github) -> None:
    await send(sink(github), result_of("**@ada** ![x](https://e.example/?q) <img src=x>"))
    (body,) = github.at()
    assert told(body) == "**@\u200bada** !\u200b[x](https://e.example/?q) <\u200bimg src=x>"


async def test_a_message_has_its_owners_markup_and_values_that_do_nothing(github: Github) -> None:
    message = "<details>@team {{ payload.title }}: {{ answer.text }}</details>"
    result = result_of("done @ada", payload={**PULL, "title": "</details>@ada"})
    await send(sink(github, message=message), result)
    (body,) = github.at()
    assert told(body) == "<details>@team <\u200b/details>@\u200bada: done @\u200bada</details>"


@pytest.mark.parametrize("text", ["x" * MAX_BODY, "🎉" * MAX_BODY, "@" * MAX_BODY, "```\n" + "x" * MAX_BODY])
async def test_a_long_answer_is_cut_visibly(github: Github, text: str) -> None:
    await send(sink(github), result_of(text))
    (body,) = github.at()
    assert len(body) == MAX_BODY
    assert body.endswith("…")
    assert text.startswith(told(body)[:-1].replace("\u200b", ""))


async def test_where_claude_said_nothing_the_comment_says_so(github: Github) -> None:
    await send(sink(github), result_of("", outcome=RunOutcome.NO_TEXT, reason="thinking_only"))
    assert [told(body) for body in github.at()] == ["No answer (no_text, thinking_only)."]


async def test_the_first_line_counts_as_a_hop_and_no_prompt_shows_it(github: Github) -> None:
    await send(sink(github), result_of("All is well."))
    (body,) = github.at()
    assert OURSELVES.count(msgspec.json.encode({"comment": {"body": body}})) == 1
    assert unmarked(body).strip() == "All is well."


# --- who writes -------------------------------------------------------------------------------------------------------


async def test_an_app_finds_its_installation_and_keeps_the_token(github: Github) -> None:
    await send(sink(github, by=app()), result_of("First."), result_of("Second."))
    assert [told(body) for body in github.at()] == ["Second."]
    made = f"POST /app/installations/{INSTALLATION}/access_tokens"
    assert github.asked[:2] == [f"GET /repos/{REPOSITORY}/installation", made]
    assert github.asked.count(made) == 1


async def test_an_installation_that_is_named_is_not_looked_for(github: Github) -> None:
    await send(sink(github, by=app(installation=INSTALLATION)), result_of())
    assert not any(asked.endswith("/installation") for asked in github.asked)
    assert len(github.at()) == 1


@pytest.mark.parametrize(("lifetime_s", "kept"), [(330, True), (290, False)])
async def test_a_token_is_not_used_in_its_last_five_minutes(github: Github, lifetime_s: float, kept: bool) -> None:
    github.lifetime_s = lifetime_s
    await send(sink(github, by=app()), result_of("First."), result_of("Second."))
    assert [told(body) for body in github.at()] == ["Second."]
    assert (len(github.tokens) == 1) is kept


@pytest.mark.parametrize("again", ["POST /graphql", f"POST /repos/{REPOSITORY}/issues/{ISSUE}/comments"])
async def test_a_token_that_ends_in_between_is_renewed_once(github: Github, again: str) -> None:
    def end(asked: str) -> None:
        if asked == again and len(github.tokens) == 1:
            github.tokens = {"another": ""}

    github.says = end
    await send(sink(github, by=app()), result_of())
    assert len(github.at()) == 1
    assert len(github.tokens) == 2


async def test_a_token_that_is_never_known_is_not_renewed_for_ever(github: Github) -> None:
    github.says = lambda asked: (401, "{}", {}) if asked == "POST /graphql" else None
    with pytest.raises(SinkRefused, match=r"^HTTP 401: GitHub does not know the token"):
        await send(sink(github, by=app()), result_of())
    assert len(github.tokens) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": 1}, "HTTP 401: GitHub does not know the App: app.id and the key of app.privateKeyRef must belong"),
        ({"installation": 5}, "HTTP 404: the App has no installation 5; mend app.installationId"),
    ],
)
async def test_an_app_that_github_does_not_know_is_refused(github: Github, changes: Any, said: str) -> None:
    with pytest.raises(SinkRefused, match=f"^{re.escape(said)}"):
        await send(sink(github, by=app(**changes)), result_of())


async def test_an_app_that_is_not_installed_there_is_refused(github: Github) -> None:
    payload = {**PULL, "repository": {"id": 2, "full_name": "northwind/other"}}
    with pytest.raises(SinkRefused, match=r"^HTTP 404: the App is not installed on northwind/other; install"):
        await send(sink(github, by=app()), result_of(payload=payload))


async def test_another_key_finds_no_token_of_the_first(github: Github) -> None:
    tokens = Tokens()
    await send(sink(github, by=app()), result_of(), tokens=tokens)
    await send(sink(github, by=app(private_key=Secret(app_pem() + b"\n"))), result_of(), tokens=tokens)
    assert len(github.tokens) == 2


async def test_no_secret_is_shown(github: Github, caplog: pytest.LogCaptureFixture) -> None:
    github.says = lambda asked: (403, f'{{"message":"{TOKEN}"}}', {}) if "/repos/" in asked else None
    with pytest.raises(SinkRefused) as refused:
        await send(sink(github), result_of())
    assert TOKEN[:20] not in f"{refused.value!r} {caplog.text}"


# --- what GitHub does not take ----------------------------------------------------------------------------------------

WRITES = f"POST /repos/{REPOSITORY}/issues/{ISSUE}/comments"


def saying(status: int, body: Any, **headers: str) -> Callable[[str], Any]:
    text = body if isinstance(body, str) else msgspec.json.encode(body).decode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: (status, text, named) if asked == WRITES else None


@pytest.mark.parametrize(
    ("says", "after_s"),
    [
        (saying(429, "", retry_after="30"), 30),
        (saying(403, {"message": "no"}, retry_after="30"), 30),
        (saying(403, {"message": "You have exceeded a secondary rate limit."}), 60),
        (saying(403, {"documentation_url": "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api"}), 60),
        (saying(429, ""), 60),
        (saying(500, ""), None),
        (saying(502, "<html>"), None),
        (saying(503, "", retry_after="7"), 7),
    ],
)
async def test_what_passes_is_waited_for_as_long_as_github_says(
    github: Github, says: Any, after_s: float | None
) -> None:
    github.says = says
    with pytest.raises(SinkFailed) as failed:
        await send(sink(github), result_of())
    assert failed.value.after_s == after_s


@pytest.mark.parametrize("ends_in_s", [600, -5, 999_999])
async def test_a_limit_ends_when_github_says(github: Github, ends_in_s: int) -> None:
    github.says = saying(403, {}, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(time.time()) + ends_in_s))
    with pytest.raises(SinkFailed, match="rate limit") as failed:
        await send(sink(github), result_of())
    assert failed.value.after_s == pytest.approx(min(max(ends_in_s, 1), 3600), abs=5)


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (saying(401, {}), "HTTP 401: GitHub does not know the token; store a valid one in the Secret of tokenRef"),
        (saying(403, {"message": "Resource not accessible"}), "HTTP 403: it may not do this, or the conversation"),
        (
            saying(403, {}, x_accepted_github_permissions="issues=write; pull_requests=write"),
            "HTTP 403: it may not do this, or the conversation is locked; GitHub wants one of these permissions: i",
        ),
        (saying(403, {}, x_github_sso="required; url=https://x"), "HTTP 403: authorize the token for the organization"),
        (saying(404, {}), "HTTP 404: there is nothing of this name that it sees"),
        (saying(410, {}), "HTTP 410: it was deleted, or the repository has its issues switched off"),
        (saying(422, {"errors": [{"code": "unprocessable"}]}), "HTTP 422: GitHub does not take it, unprocessable;"),
        (saying(422, {"errors": ["secret words"]}), "HTTP 422: GitHub does not take it; its documentation says why"),
        (saying(422, {"errors": [{"code": "<b>secret words"}]}), "HTTP 422: GitHub does not take it; its"),
        (saying(422, {"errors": "secret words"}), "HTTP 422: GitHub does not take it; its documentation says why"),
        (saying(400, "<html>"), "HTTP 400: GitHub does not take it"),
        (saying(301, "", location="https://elsewhere.example/x"), "HTTP 301: the API has moved elsewhere"),
    ],
)
async def test_what_github_never_takes_is_refused_with_its_fix(github: Github, says: Any, said: str) -> None:
    github.says = says
    with pytest.raises(SinkRefused, match=f"^{re.escape(said)}") as refused:
        await send(sink(github), result_of())
    assert "secret words" not in str(refused.value)
    assert github.asked.count(WRITES) == 1


@pytest.mark.parametrize(
    ("answered", "error", "said"),
    [
        ({"errors": [{"type": "RATE_LIMITED"}]}, SinkFailed, "RATE_LIMITED: GitHub's rate limit is reached"),
        ({"errors": [{"message": "Something went wrong"}]}, SinkFailed, "GraphQL failed without saying why"),
        ({"data": None}, SinkFailed, "what came with it is no answer of GitHub's"),
        ("<html>", SinkFailed, "what came with it is no answer of GitHub's"),
        ({"errors": [{"type": "NOT_FOUND"}]}, SinkRefused, "NOT_FOUND: there is nothing of this name that it sees"),
        ({"errors": [{"type": "FORBIDDEN"}]}, SinkRefused, "FORBIDDEN: it may not do this"),
        ({"data": {"repository": None}}, SinkRefused, f"what the event is about is not in {REPOSITORY} any more"),
    ],
)
async def test_graphqls_errors_are_told_apart(github: Github, answered: Any, error: Any, said: str) -> None:
    text = answered if isinstance(answered, str) else msgspec.json.encode(answered).decode()
    github.says = lambda asked: (200, text, {}) if asked == "POST /graphql" else None
    with pytest.raises(error, match=re.escape(said)):
        await send(sink(github), result_of())
    assert github.comments == []


@pytest.mark.parametrize("by", [None, app()])
async def test_a_repository_that_was_renamed_is_found(github: Github, by: Any) -> None:
    github.renamed_from = "northwind/shop"
    payload = {**PULL, "repository": {"id": 1, "full_name": "northwind/shop"}}
    for text in ("First.", "Second."):
        await send(sink(github, by=by), result_of(text, payload=payload))
    assert [told(body) for body in github.at()] == ["Second."]


class Hasty(Outbound):
    """Waits for a tenth of a second."""

    async def send(self, request: Request, bounds: Bounds = Bounds()) -> Answer:
        return await super().send(request, replace(bounds, deadline_s=0.1))


async def test_one_that_hangs_is_waited_for(github: Github) -> None:
    github.hangs = True
    async with Hasty(OutboundRules(mode="dev")) as way:
        with pytest.raises(SinkFailed, match=r"no answer within 0\.1 s"):
            await GithubSinkWriter(way).send(sink(github), result_of())


@pytest.mark.real
async def test_what_github_refuses_is_a_dead_letter_that_is_written_when_it_is_replayed(
    redis: Redis, github: Github
) -> None:
    github.says = saying(403, {}, x_accepted_github_permissions="issues=write")
    routes = FakeRoutes(worker_route(sinks=(sink(github),), marker_key=Secret(b"k" * 32)))
    runner = build_runner(redis, claude=FakeClaude(), routes=routes)
    async with Outbound(OutboundRules(mode="dev")) as way:
        finder, sinks = Finder(routes, upkeep_of(redis)), RemoteSinks(way, work_on(redis))
        sender = Sender(work=work_on(redis), finder=finder, sinks=sinks)
        async with running(redis, lambda attempt: (sender if attempt.lease.sink else runner)(attempt)):
            await admit(redis, sample_delivery("d-1", payload=msgspec.json.encode(PULL)))
            await until_empty(redis)
            found = await Desk({GROUP: redis}).look(Wanted(states=frozenset({State.DEAD})))
            (letter,) = found.lines
            assert (letter.id, letter.reason) == ("d-1:github", DeadReason.SINK)
            assert letter.detail.startswith("sink github: HTTP 403: it may not do this")
            assert letter.detail.endswith("GitHub wants one of these permissions: issues=write")
            github.says = lambda _: None
            await Desk({GROUP: redis}).replay([DeliveryId("d-1:github")])
            await until_empty(redis)
    (body,) = github.at()
    assert told(body) == "Answer 1."
