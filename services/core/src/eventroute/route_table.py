"""What a compiled route is to the two programs that run it: the verify part for receivers, the work part for workers.

`eventroute.compile` builds both from one EventRoute; `eventroute.runtime.tables` seals, publishes and follows them.
Neither part can be read with the other part's key: a receiver never holds a prompt, a worker never a webhook secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from eventroute.ids import RoutePath, RouteUid
from eventroute.models import CacheRule, Effort, Thinking
from eventroute.schemes import Scheme
from eventroute.secret import Secret

NO_KEY: Final = Secret(b"")
"""Of a publisher that knows of no markers: none is made and none is known."""


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """A token bucket over all receivers."""

    per_second: float
    burst: int


class DebounceRule(msgspec.Struct, frozen=True, kw_only=True):
    """How events of one entity are collected to one run."""

    quiet_s: int
    """It runs when there was no further event for so long,"""
    max_s: int
    """at the latest so long after the first one."""


class RedactRule(msgspec.Struct, frozen=True, kw_only=True):
    """What is not to be kept of an event."""

    headers: tuple[str, ...] = ()
    """Names in lower case."""
    payload: tuple[str, ...] = ()
    """Dotted paths, as `eventroute.redact` reads them."""


class ReceiverRoute(msgspec.Struct, frozen=True, kw_only=True):
    """All that a receiver needs in order to judge a request."""

    uid: RouteUid
    path: RoutePath
    generation: int
    scheme: Scheme
    """The whole row, not its name: a receiver needs no newer code to serve a provider that the compiler knows."""
    secrets: tuple[Secret, ...]
    """Current first; each one is accepted."""
    secret_names: tuple[str, ...]
    """`<Secret>/<key>` of each of `secrets`: what status and metrics call it when it matched."""
    verify_token: Secret | None = None
    """What a set-up request must show, where its provider lets it show a token; proves nothing of an event."""
    public_url: str | None
    """What URL-signing schemes verify against; never taken from the request's own headers."""
    suspend: Literal["hold", "drop"] | None = None
    """`drop`: events are answered with success and not kept; `hold`: they are queued, and no worker starts them."""
    own_actors: tuple[str, ...] = ()
    """Who we are at the provider: an event that one of them caused is answered with success and not queued."""
    max_hops: int = 5
    """An event behind which so many answers of ours stand is answered with success and not queued."""
    marker_key: Secret = NO_KEY
    """By which their markers are known: the installation's, as `with_marker_key` notes it."""
    filter: str | None
    """CEL; a delivery for which it is not true is answered with success and not queued."""
    max_body_bytes: int
    rate_limit: RateLimit | None
    headers: tuple[str, ...] | None = None
    """Those that the route's expressions and templates name, in lower case; None = they may look at any."""
    redact: RedactRule = RedactRule()
    entity: str | None = None
    """CEL; whom the event is about. Only where admission has to know it."""
    per_entity: bool = False
    """Deliveries about one entity are worked on one at a time."""
    debounce: DebounceRule | None = None
    """None = each event is a delivery of its own."""
    supersede: bool = False
    """A newer event about an entity stands for those before it that are not answered."""


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """Which model answers, what it is told, and within which limits."""

    name: str
    max_tokens: int
    timeout_s: float
    thinking: Thinking | None = None
    """The type to send, one that this model takes; None = nothing is sent."""
    effort: Effort | None = None
    """The same."""
    cache: CacheRule = "off"
    """Whether the system text is cached, where it is long enough."""
    cacheable_from: int = 0
    """Tokens that this model caches at least."""
    fallback: "ModelCall | None" = None
    """What is asked when this model declines or exists no more; has none of its own."""


ToolMethod = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class HttpTool(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a service that Claude may ask for."""

    name: str
    description: str
    when: str | None = None
    """CEL over the event: only where this holds, the tool is there."""
    input_schema: dict[str, Any]
    """JSON schema of the arguments."""
    method: ToolMethod
    url: str
    """With places for arguments, as `eventroute.tool_url` reads it."""
    headers: dict[str, str] = {}
    secret_header: tuple[str, Secret] | None = None
    """One more header, whose value nobody sees."""
    timeout_s: float
    max_bytes: int
    side_effect: bool
    """A call changes something, so that none is made twice."""
    on_unknown: Literal["tell", "fail"] = "tell"
    """What follows when such a call may have happened."""
    dry_run: bool = False
    """No call is made; Claude is told so."""


class TalkLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a conversation with tools may go; what is reached ends the use of tools."""

    turns: int = 8
    """Of Claude's, the last one of which has no tools."""
    tool_calls: int = 20
    tokens: int | None = None
    micro_usd: int | None = None
    time_s: int = 300


NO_TALK: Final = TalkLimits()


class PromptRule(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of `prompts`: when it applies, and what is asked."""

    events: tuple[str, ...]
    """Patterns over event names; `*` stands for one or more characters of one segment, alone for anything."""
    when: str | None
    model: ModelCall
    system: str
    """Static text: nothing of a payload ever enters it."""
    user: str | None
    """Template; absent = event name and the fenced payload."""
    output_schema: dict[str, Any] | None = None
    """JSON schema of the answer; absent = text."""
    tools: tuple[HttpTool, ...] = ()
    """What Claude may do before it answers."""
    limits: TalkLimits = NO_TALK


class HistoryRule(msgspec.Struct, frozen=True, kw_only=True):
    """How much of an entity's past is kept and told."""

    scope: Literal["route", "namespace"]
    keep: int
    inject: int
    ttl_s: int


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long what has ended is kept, in seconds from its end; None = as the installation says."""

    payload_s: int | None = None
    answer_s: int | None = None
    record_s: int | None = None


class RetryRule(msgspec.Struct, frozen=True, kw_only=True):
    """How long a delivery is worth trying."""

    attempts: int
    """Of what is the delivery's own doing: cut short, timed out, an unreadable answer."""
    deadline_s: int
    """Seconds after receipt, or after a replay; for sinks, after the answer."""


INSTALLATION: Final = "*"
"""The scope of a budget of the whole installation; no path and no namespace is called so."""


class BudgetRule(msgspec.Struct, frozen=True, kw_only=True):
    """What calls may cost in a period. Periods of one length follow each other from 1970 on, by Redis' clock."""

    scope: str
    """A route's path, a namespace, or `INSTALLATION`: whose calls count."""
    period_s: int
    micro_usd: int | None
    """At most so many millionths of a US dollar; None = any."""
    tokens: int | None
    """At most so many tokens, in, out and cached; None = any."""
    warn_at: int
    """Percent spent from which on somebody is warned."""
    on_exceeded: Literal["hold", "reject"]
    """What becomes of a delivery whose call does not fit: it waits for room, or becomes a dead letter."""


def whose(scope: str) -> str:
    """Name the owner of a budget."""
    if scope == INSTALLATION:
        return "the installation"
    return f"route {scope}" if "/" in scope else f"namespace {scope}"


class _Sink(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Identity of its mark, and of its answers; unique in a route."""
    when: str | None = None
    """CEL over the event and its answer: it gets those for which this holds; None = all."""


class LogSink(_Sink, frozen=True, kw_only=True, tag="log"):
    """The answer as one log line of the worker."""


class StreamSink(_Sink, frozen=True, kw_only=True, tag="stream"):
    """The answer as an entry of a capped Redis stream."""

    stream: str
    max_entries: int


class _Told(_Sink, frozen=True, kw_only=True):
    message: str | None = None
    """Template of what is told in place of the answer's text; None = that text."""


class HttpSink(_Told, frozen=True, kw_only=True, tag="http"):
    """The answer POSTed to a service of the team's own, signed as Standard Webhooks are."""

    url: str
    secrets: tuple[Secret, ...]
    """By each of which it is signed, the current one first; empty = by none."""
    timeout_s: float


SLACK: Final = "https://slack.com"
"""Where Slack's Web API is."""


class SlackWebhook(msgspec.Struct, frozen=True, kw_only=True, tag="webhook"):
    """An incoming webhook, which posts to the channel that it was made for."""

    url: Secret


class SlackApp(msgspec.Struct, frozen=True, kw_only=True, tag="app"):
    """An app in a workspace, by its token."""

    token: Secret
    channel: str | None
    """None = where the event is from, in its thread."""


class SlackSink(_Told, frozen=True, kw_only=True, tag="slack"):
    """The answer as a message in Slack."""

    by: SlackWebhook | SlackApp
    update: bool = False
    """One message per entity, changed by each answer."""
    blocks: tuple[dict[str, Any], ...] = ()
    """Block Kit; each text may be a template."""


class GithubToken(msgspec.Struct, frozen=True, kw_only=True, tag="token"):
    """A personal access token."""

    token: Secret


class GithubApp(msgspec.Struct, frozen=True, kw_only=True, tag="app"):
    """A GitHub App."""

    id: int
    installation: int | None
    """None = the one that has the repository."""
    private_key: Secret
    """PEM."""


class GithubComment(msgspec.Struct, frozen=True, kw_only=True, tag="comment"):
    """A comment."""

    update: bool
    """One comment has the newest answer; otherwise each answer has a comment."""


class GithubReply(msgspec.Struct, frozen=True, kw_only=True, tag="reply"):
    """A reply in the review thread of the event."""


class GithubLabels(msgspec.Struct, frozen=True, kw_only=True, tag="labels"):
    """Labels to be added."""

    names: tuple[str, ...]
    pick: str | None
    """Template that says which of them; None = all."""


class GithubCheckRun(msgspec.Struct, frozen=True, kw_only=True, tag="check_run"):
    """A check run of the event's head commit."""

    name: str
    conclusion: str


class GithubTarget(msgspec.Struct, frozen=True, kw_only=True):
    """An issue or pull request that the route's owner names."""

    repository: str
    number: str
    """Template over the event; of its text only digits count."""


class GithubSink(_Told, frozen=True, kw_only=True, tag="github"):
    """The answer at GitHub."""

    base_url: str
    by: GithubToken | GithubApp
    write: GithubComment | GithubReply | GithubLabels | GithubCheckRun
    target: GithubTarget | None = None
    """None = where the event is from."""


class PostgresSink(_Told, frozen=True, kw_only=True, tag="postgres"):
    """The answer as a row of a table."""

    url: Secret
    table: str
    """`table`, or `schema.table`."""
    notify: str | None = None
    """Channel that is notified with the row; None = none."""


class RouteSink(_Told, frozen=True, kw_only=True, tag="route"):
    """The answer as an event of another route, one that nobody outside can send to."""

    route: RoutePath
    event: str


LocalSink = LogSink | StreamSink
RemoteSink = GithubSink | HttpSink | PostgresSink | RouteSink | SlackSink
Sink = LocalSink | RemoteSink


class WorkerRoute(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs in order to turn a delivery into an answer."""

    uid: RouteUid
    path: RoutePath
    generation: int
    is_suspended: bool = False
    """Nothing is started; what is queued waits."""
    provider: str
    prompts: tuple[PromptRule, ...]
    entity: str | None
    """CEL; whom the event is about. Absent = no history."""
    history: HistoryRule | None
    retry: RetryRule
    retention: RetentionRule
    sinks: tuple[Sink, ...]
    max_running: int = 0
    """How many of its deliveries may run at once, over all workers; 0 = any number."""
    holds_lanes: bool = False
    """With lanes: after a dead letter, what is about the same entity waits until it is replayed or discarded."""
    api_key: Secret | None
    """The route's own Claude key; None = the worker's."""
    budgets: tuple[BudgetRule, ...] = ()
    """All that its calls count in: its own, its namespace's, the installation's; one of a scope."""
    receives: ReceiverRoute | None = None
    """How it takes answers of other routes, which workers admit; None = its events come by receivers. Has no secret."""
    marker_key: Secret = NO_KEY
    """By which what its answers are written to is marked; the receivers' one."""


Entry = TypeVar("Entry", bound=ReceiverRoute | WorkerRoute)


def with_marker_key(entries: Mapping[RoutePath, Entry], key: Secret) -> dict[RoutePath, Entry]:
    """Give entries the installation's key of markers, as the publisher of both tables does."""
    return {path: msgspec.structs.replace(entry, marker_key=key) for path, entry in entries.items()}


@dataclass(frozen=True)
class Plane(Generic[Entry]):
    """One of the two tables: its name in Redis and in the sealing context, and the shape of its entries."""

    name: str
    entry: type[Entry]


RECEIVER: Final = Plane("receiver", ReceiverRoute)
WORKER: Final = Plane("worker", WorkerRoute)
