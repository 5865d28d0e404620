"""The EventRoute resource, `eventroute.dev/v1alpha1`: the single source of truth of what a manifest may say.

A field stands here when it works, not before. Unknown fields are refused. Every field says its unit and default, every
text and list has a maximum, and rules over several fields stand with their model. What needs more than the manifest
itself (does the Secret exist, does the template parse) is judged by `eventroute.compile`.

`python -m eventroute.crd` makes the CustomResourceDefinition of it.
"""

from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from eventroute.crd.duration import Between, Duration
from eventroute.crd.provider_rules import provider_rules
from eventroute.crd.rules import Rule, exactly_one, not_both, value_or, with_rules
from eventroute.models import CacheRule, Effort, Wish
from eventroute.schemes import INSIDE, SCHEMES

GROUP: Final = "eventroute.dev"
API_VERSION: Final = f"{GROUP}/v1alpha1"
KIND: Final = "EventRoute"

DEFAULT_SYSTEM: Final = (
    "Analyze this event. Say in a few sentences what happened and what, if anything, should be done."
)

MAX_SYSTEM_LENGTH: Final = 32_768
MAX_TEMPLATE_LENGTH: Final = 32_768

_KEEP: Final = 50
_INJECT: Final = 10

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

OBJECT_NAME: Final = rf"^{_LABEL}(\.{_LABEL})*$"
HTTP_URL: Final = r"^https?://[!-~]+$"
SLACK_ID: Final = r"^[CDGUW][A-Z0-9]+$"
GITHUB_REPOSITORY: Final = r"^[A-Za-z0-9_-]+/[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$"
GITHUB_LABEL: Final = r"^[^\x00-\x1f,]*[^\x00-\x20,]$"
API_URL: Final = r"^https?://[A-Za-z0-9.:-]+(/[A-Za-z0-9._~-]+)*$"
USD: Final = r"^[0-9]{1,6}(\.[0-9]{1,6})?$"

ObjectName = Annotated[str, StringConstraints(pattern=OBJECT_NAME, max_length=253)]
Namespace = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
DataKey = Annotated[str, StringConstraints(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
Cel = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
ActorName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
GithubLabel = Annotated[str, StringConstraints(pattern=GITHUB_LABEL, max_length=50)]
SourceName = Annotated[str, StringConstraints(pattern=r"^[!-~]+$", max_length=256)]
EventPattern = Annotated[str, StringConstraints(min_length=1, max_length=128)]
ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.:/@]*$", max_length=128)]
SystemText = Annotated[str, StringConstraints(max_length=MAX_SYSTEM_LENGTH)]
LabelText = Annotated[str, StringConstraints(max_length=63)]
AnnotationText = Annotated[str, StringConstraints(max_length=262_144)]
UserText = Annotated[str, StringConstraints(max_length=MAX_TEMPLATE_LENGTH)]


class Strict(BaseModel):
    """Frozen; refuses unknown fields, wrong types and null; names are camelCase in manifests."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, json_schema_extra=with_rules
    )
    rules: ClassVar[tuple[Rule, ...]] = ()
    early_rules: ClassVar[tuple[Rule, ...]] = ()

    @field_validator("*", mode="after")
    @classmethod
    def _is_not_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("must not be null; leave the field out")
        return value

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        said = self.model_dump(mode="json", by_alias=True, exclude_unset=True) if self.rules else {}
        for rule in self.rules:
            if not rule.holds(said):
                raise ValueError(rule.message)
        return self


class SecretKeyRef(Strict):
    """One key of a Secret in the route's namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: DataKey = Field(description="Key in the Secret's data.")


class ConfigMapKeyRef(Strict):
    """One key of a ConfigMap in the route's namespace."""

    name: ObjectName = Field(description="Name of the ConfigMap.")
    key: DataKey = Field(description="Key in the ConfigMap's data.")


class HandshakeMatch(Strict):
    """One condition of a handshake."""

    source: SourceName = Field(
        description="Where the value stands: `query:hub.mode`, `header:x-setup`, or of a POST `body:type`."
    )
    equals: str | None = Field(
        default=None,
        max_length=256,
        description="The value as text. Default: the value must be absent, or with verifyToken that one.",
    )
    verify_token: bool = Field(
        default=False, description="The value must be the token of `verifyTokenRef`. Default: false."
    )


class CustomHandshake(Strict):
    """A request that sets the webhook up, and the answer that its sender wants.

    A POST is verified first, unless the handshake names a `query:NAME`; that, GET and HEAD are answered unverified, so
    that nothing of their bodies can be named.
    """

    rules = (
        Rule(
            "(has(self.method) && self.method != 'POST') || (has(self.when) && size(self.when) > 0)"
            " || (has(self.echo) && self.echo.contains('query:'))"
            " || (has(self.proof) && self.proof.contains('query:'))",
            "a POST needs when, or something of the query: else every delivery would be taken for this handshake",
            reason="FieldValueRequired",
        ),
    )

    method: Literal["POST", "GET", "HEAD"] = Field(default="POST", description="Method of the request. Default: POST.")
    when: tuple[HandshakeMatch, ...] = Field(
        default=(),
        max_length=8,
        description="Conditions that must all hold for a request to be this handshake. Default: none.",
    )
    status: int = Field(default=200, ge=200, le=299, description="HTTP status of the answer. Default: 200.")
    body: str = Field(default="", max_length=1024, description="JSON sent as the answer. Default: empty.")
    echo: str = Field(
        default="",
        max_length=256,
        pattern=r"^(([A-Za-z0-9_.]+=)?[!-~]+)?$",
        description=(
            "What is sent back: `NAME=SOURCE` as a JSON object of this one value, `SOURCE` as plain text, "
            "`query:challenge`. What nobody has signed must consist of harmless characters. Default: nothing."
        ),
    )
    proof: str = Field(
        default="",
        max_length=256,
        pattern=r"^([A-Za-z0-9_.]+=[!-~]+)?$",
        description=(
            "`NAME=SOURCE`: what is sent back, beside what `echo` names, as a JSON object of the value's signature by "
            "the secret; the value must be 1 to 128 letters, digits, `-` or `_`. Default: none."
        ),
    )
    proof_prefix: str = Field(
        default="", max_length=64, description="What stands before that signature, `sha256=`. Default: empty."
    )


class CustomScheme(Strict):
    """How a sender without a row in the scheme table signs and delivers.

    A source is `header:NAME`, `signature:KEY` (an entry of a signature header that is a list), `body:PATH` or
    `item:PATH` (of a batch item), in a handshake also `query:NAME`; alternatives are joined with `|`.
    """

    kind: Literal["hmac", "ed25519", "ecdsa-p256", "token", "basic", "none"] = Field(
        default="hmac", description="How the sender proves itself. Default: hmac."
    )
    signature: SourceName | None = Field(
        default=None, description="Source of the signature, token or credentials. Default: none, for kind none only."
    )
    separator: str = Field(
        default="",
        max_length=1,
        description="Character between signatures of a list. Default: empty, exactly one signature.",
    )
    prefix: str = Field(
        default="", max_length=64, description="What stands before each signature, `sha256=`. Default: empty."
    )
    encoding: Literal["hex", "base64", "base64url"] = Field(
        default="hex", description="How the signature is written. Default: hex."
    )
    digest: Literal["sha256", "sha512", "sha1"] = Field(
        default="sha256", description="Hash function of kind hmac. Default: sha256."
    )
    legacy_digest: bool = Field(default=False, description="Must be true for digest sha1. Default: false.")
    key: Literal["utf8", "whsec", "whpk", "base64", "hex", "spki"] = Field(
        default="utf8",
        description=(
            "How the secret becomes a key: as it is; base64 after an optional `whsec_`; base64 after `whpk_`; base64; "
            "hex; base64 of a DER public key. Default: utf8."
        ),
    )
    signed: tuple[Annotated[str, StringConstraints(min_length=1, max_length=256)], ...] = Field(
        default=(),
        max_length=16,
        description=(
            "The signed bytes in order: `body`, `timestamp`, `method`, `url`, `text:LITERAL`, or a source. "
            "Default: `body` for kinds that sign, nothing for the others."
        ),
    )
    covers_body: bool = Field(
        default=True, description="False says out loud that `signed` leaves the body out. Default: true."
    )
    timestamp: SourceName | None = Field(default=None, description="Source of the time of sending. Default: none.")
    timestamp_unit: Literal["s", "ms", "rfc3339"] = Field(
        default="s", description="Seconds, milliseconds, or RFC 3339 text. Default: s."
    )
    advisory: bool = Field(
        default=False, description="The timestamp is judged although it is not signed. Default: false."
    )
    event: tuple[SourceName, ...] = Field(
        default=(), max_length=4, description="Sources of the event type's parts, joined with dots. Default: none."
    )
    actor: tuple[SourceName, ...] = Field(
        default=(),
        max_length=4,
        description="Sources of names of whoever caused the event, for `ownActors`. Default: none.",
    )
    ignored_events: tuple[EventPattern, ...] = Field(
        default=(), max_length=16, description="Event types answered with success that start nothing. Default: none."
    )
    id: tuple[SourceName, ...] = Field(
        default=(),
        max_length=4,
        description=(
            "Sources of the delivery id's parts, by which repeated deliveries are recognized. Where one of them, or of "
            "`event`, is a header that `signed` does not cover, whoever holds a request could change it, so the signed "
            "bytes are remembered too: two events with equal bodies count as one. Default: none."
        ),
    )
    dedup_ttl: Annotated[Duration, Between("1m", "720h")] = Field(
        default="24h",
        alias="dedupTTL",
        description="How long an accepted delivery is remembered, 1m to 720h. Default: 24h.",
    )
    batch: str = Field(
        default="",
        max_length=256,
        pattern=r"^(body(:[!-~]+)?)?$",
        description="`body` or `body:PATH`: a list whose items are events of their own. Default: one event.",
    )
    form: Literal["refused", "payload", "fields"] = Field(
        default="refused",
        description=(
            "What a form-encoded body means: nothing; its `payload` field is the JSON; its fields are an object. "
            "Default: refused."
        ),
    )
    document: Literal["object", "any"] = Field(
        default="object",
        description="Whether a JSON body must be an object or list, or may be anything. Default: object.",
    )
    handshake: tuple[CustomHandshake, ...] = Field(
        default=(), max_length=4, description="Requests that set the webhook up and start nothing. Default: none."
    )
    success_status: int = Field(
        default=200, ge=200, le=299, description="HTTP status of an accepted delivery. Default: 200."
    )


class RateLimit(Strict):
    """A token bucket over all receivers; what exceeds it is answered with 429 and comes again."""

    per_second: float = Field(gt=0, le=10_000, description="Deliveries per second in the long run. Required.")
    burst: int = Field(ge=1, le=100_000, description="Deliveries at once. Required.")


class Redact(Strict):
    """What is replaced by `[redacted]` before an event is kept: neither Redis nor a prompt ever holds it."""

    headers: tuple[Annotated[str, StringConstraints(pattern=r"^[!-9;-~]+$", max_length=128)], ...] = Field(
        default=(), max_length=16, description="Names of request headers. Default: none."
    )
    payload: tuple[Annotated[str, StringConstraints(pattern=r"^[^.\s]+(\.[^.\s]+)*$", max_length=256)], ...] = Field(
        default=(),
        max_length=32,
        description=(
            "Dotted paths into the payload, `data.object.email` or `items.*.name`; `*` stands for every entry of a "
            "list or object. `filter` still sees the values, `entity` and prompts do not. Default: none."
        ),
    )


class Suspend(Strict):
    """Nothing is started: what is queued waits, in order, and goes on when this is removed."""

    mode: Literal["hold", "drop"] = Field(
        description=(
            "What becomes of events meanwhile. `hold`: they are queued, and wait too, at no cost and counting against "
            "no deadline; `drop`: they are answered with success and not kept. Required."
        )
    )


class Model(Strict):
    """Which model answers, how much it thinks, and within which limits."""

    name: ModelName = Field(default="claude-haiku-5-5", description="Model name. Default: claude-haiku-5-5.")
    thinking: Wish | None = Field(
        default=None,
        description=(
            "Whether the model thinks before it answers: `auto` leaves it to the model, `off` turns it off, and needs "
            "its quotes, as kubectl takes a bare off for false. Default: off where the model can be told so at this "
            "effort."
        ),
    )
    effort: Effort | None = Field(
        default=None,
        description="How thoroughly it works; not every model takes each level. Default: low where it takes any.",
    )
    max_tokens: int = Field(
        default=1024, ge=1, le=64_000, description="Longest answer, in tokens, thinking included. Default: 1024."
    )
    timeout: Annotated[Duration, Between("1s", "10m")] = Field(
        default="120s", description="How long one call may take, 1s to 10m. Default: 120s."
    )
    cache: CacheRule = Field(
        default="auto",
        description=(
            "Whether the system text is cached, which makes it dearer once and far cheaper after that: `auto` when it "
            "is asked often enough, `off` never (in quotes, as with thinking), `5m` or `1h` always for so long. "
            "Nothing of an event is. Default: auto."
        ),
    )
    fallback: ModelName | None = Field(
        default=None,
        description=(
            "Another model, which is asked when this one declines or exists no more; with the same settings, as far as "
            "it takes them. Default: none."
        ),
    )
    api_key_ref: SecretKeyRef | None = Field(
        default=None, description="Secret with the route's own Claude API key. Default: the worker's key."
    )


class PromptModel(Strict):
    """What one prompt changes of the route's model."""

    name: ModelName | None = Field(default=None, description="Model name. Default: the route's.")
    thinking: Wish | None = Field(
        default=None,
        description="Whether the model thinks: `auto`, or `off`, which needs its quotes. Default: the route's.",
    )
    effort: Effort | None = Field(default=None, description="How thoroughly the model works. Default: the route's.")
    max_tokens: int | None = Field(
        default=None, ge=1, le=64_000, description="Longest answer, in tokens, thinking included. Default: the route's."
    )
    timeout: Annotated[Duration, Between("1s", "10m")] | None = Field(
        default=None, description="How long one call may take, 1s to 10m. Default: the route's."
    )
    cache: CacheRule | None = Field(
        default=None,
        description=(
            "Whether the system text is cached: `auto`, `off` (in quotes), `5m` or `1h`. Default: the route's."
        ),
    )
    fallback: ModelName | None = Field(
        default=None, description="Which model is asked when this one declines or exists no more. Default: the route's."
    )


class Output(Strict):
    """What form the answer has."""

    json_schema: dict[str, Any] = Field(
        alias="schema",
        description=(
            "JSON schema of the answer, an object: what the API supports of JSON Schema, at most 16384 bytes. An "
            "answer that does not fit is asked for once more, then it is a dead letter. Required."
        ),
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )


TOOL_NAME: Final = r"^[a-zA-Z0-9_-]{1,64}$"
HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


class SecretHeader(Strict):
    """A header whose value stands in a Secret."""

    name: str = Field(max_length=128, pattern=HEADER_NAME, description="Name of the header, `authorization`. Required.")
    ref: SecretKeyRef = Field(description="Secret with its whole value, `Bearer …`. Required.")


class HttpTool(Strict):
    """A request to a service. Its arguments stand in the URL, and of POST, PUT and PATCH as JSON in the body."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(
        default="GET", description="Method of the request. Default: GET."
    )
    url: str = Field(
        max_length=2048,
        pattern=r"^https?://[^\s/{}][^{}/]*(/.*)?$",
        description=(
            "Where it goes. In path and query `{{ name }}` stands for an argument that `input` requires, "
            "percent-encoded; one in the path may hold no slash. Scheme, host and port are fixed. `https`, but for "
            "what `eventroute dev` reaches on this machine. Redirects are not followed. Required."
        ),
    )
    headers: dict[str, Annotated[str, StringConstraints(max_length=1024, pattern=r"^[ -~]*$")]] = Field(
        default_factory=dict,
        max_length=16,
        description="Further headers; nothing of an event enters them. Default: none.",
    )
    secret_header: SecretHeader | None = Field(
        default=None, description="One more header, from a Secret. Default: none."
    )
    timeout: Annotated[Duration, Between("1s", "60s")] = Field(
        default="10s", description="How long the service may take to answer, 1s to 60s. Default: 10s."
    )
    max_bytes: int = Field(
        default=65_536,
        ge=1,
        le=262_144,
        description="How much of its answer Claude is told, in bytes, 1 to 262144; the rest is cut. Default: 65536.",
    )


class Tool(Strict):
    """Something that Claude may do before it answers."""

    name: str = Field(max_length=64, pattern=TOOL_NAME, description="Name, unique in the prompt. Required.")
    description: str = Field(
        min_length=1,
        max_length=4096,
        description="What it does, and when to use it: by this Claude chooses. Required.",
    )
    when: Cel | None = Field(
        default=None,
        description=(
            "CEL over payload, event, headers and route. Where it is not true, or cannot be judged, Claude does not "
            "hear of the tool, and cannot call it. Default: always."
        ),
    )
    input: dict[str, Any] = Field(
        description=(
            "JSON schema of the arguments, an object, as in `output.schema`. Arguments that do not fit are refused, "
            "and Claude is told why. Required."
        ),
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
    )
    http: HttpTool = Field(description="As a request to a service. Required.")
    side_effect: bool | None = Field(
        default=None,
        description=(
            "Whether a call changes something. One that does is made once at most, also when its worker dies. Default: "
            "true, but for GET."
        ),
    )
    on_unknown: Literal["tell", "fail"] = Field(
        default="tell",
        description=(
            "What follows when such a call was sent and nobody heard of it. `tell`: Claude is told that it is not "
            "known; `fail`: the delivery becomes a dead letter `tool_unknown`. Default: tell."
        ),
    )
    dry_run: bool = Field(
        default=False, description="Calls are recorded and not made, and Claude is told so. Default: false."
    )


class Limits(Strict):
    """How far Claude may go with tools. At a limit it is asked once more, without tools, for its answer."""

    rules = (Rule("!has(self.usd) || self.usd.matches('[1-9]')", "usd must be more than 0"),)

    turns: int = Field(
        default=8, ge=2, le=50, description="Calls to Claude, the last of which has no tools, 2 to 50. Default: 8."
    )
    tool_calls: int = Field(
        default=20, ge=1, le=200, description="Calls of tools, refused ones too, 1 to 200. Default: 20."
    )
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000,
        description="Tokens of all calls to Claude, after which only the answer follows. Default: any number.",
    )
    usd: str | None = Field(
        default=None,
        max_length=13,
        pattern=USD,
        description='US dollars, as a text, "0.50", after which only the answer follows. Default: any.',
    )
    time: Annotated[Duration, Between("1s", "24h")] = Field(
        default="5m",
        description="Time from Claude's first call of a tool, after which only the answer follows. Default: 5m.",
    )


class Prompt(Strict):
    """What Claude is asked about the events that match."""

    rules = (not_both("system", "systemFrom"), not_both("user", "userFrom"))

    events: tuple[EventPattern, ...] = Field(
        default=("*",),
        min_length=1,
        max_length=32,
        description=(
            "Patterns over event types, or their first segments: `pull_request` is `pull_request.opened` too. `*` "
            "alone is any event; within a dot-separated segment it stands for one or more characters. Default: any "
            "event."
        ),
    )
    when: Cel | None = Field(
        default=None,
        description="CEL over payload, event, headers and route; the prompt applies if it is true. Default: always.",
    )
    model: PromptModel = Field(
        default_factory=PromptModel, description="What this prompt changes of the route's model. Default: nothing."
    )
    system: SystemText | None = Field(
        default=None,
        description=f"Static system text; nothing of an event enters it. Default: `{DEFAULT_SYSTEM}`",
    )
    system_from: ConfigMapKeyRef | None = Field(
        default=None, description="ConfigMap key with the system text, instead of `system`. Default: none."
    )
    user: UserText | None = Field(
        default=None,
        description=(
            "Liquid template of the user message, over payload, event, headers, route, provider, entity, "
            "received_at and events. Default: the event type and the payload as JSON."
        ),
    )
    user_from: ConfigMapKeyRef | None = Field(
        default=None, description="ConfigMap key with the template, instead of `user`. Default: none."
    )
    output: Output | None = Field(default=None, description="What form the answer has. Default: text.")
    tools: tuple[Tool, ...] = Field(
        default=(), max_length=16, description="What Claude may do before it answers. Default: nothing."
    )
    limits: Limits = Field(
        default_factory=Limits, description="How far it may go with tools. Default: the defaults of its fields."
    )


class History(Strict):
    """How much of an entity's past is kept and told."""

    rules = (Rule(f"{value_or('inject', _INJECT)} <= {value_or('keep', _KEEP)}", "inject must not exceed keep"),)

    scope: Literal["route", "namespace"] = Field(
        default="route", description="Whose events count: this route's, or all of the namespace. Default: route."
    )
    keep: int = Field(default=_KEEP, ge=1, le=1000, description="Entries kept per entity. Default: 50.")
    inject: int = Field(default=_INJECT, ge=0, le=100, description="Latest entries told in a prompt. Default: 10.")
    ttl: Annotated[Duration, Between("1m", "8760h")] = Field(
        default="720h", description="How long an entity is remembered after its last event, 1m to 8760h. Default: 720h."
    )


class Concurrency(Strict):
    """How many deliveries are worked on at once."""

    rules = (Rule("!has(self.onDead) || has(self.perEntity)", "onDead is about perEntity, which is not set"),)

    max: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        description="Deliveries of the route at once, over all workers, 1 to 1000. Default: any number.",
    )
    per_entity: int | None = Field(
        default=None,
        ge=1,
        le=1,
        description=(
            "1: deliveries about one `entity` are worked on one after the other, in the order of acceptance, also "
            "where one is tried again. Those of which no entity can be told do not wait. Default: in no order."
        ),
    )
    on_dead: Literal["continue", "hold"] | None = Field(
        default=None,
        description=(
            "What an entity's deliveries do after a dead letter: `continue`, or `hold` until it is replayed or "
            "discarded. Default: continue."
        ),
    )


class Debounce(Strict):
    """How events of one entity become one run that sees all of them."""

    rules = (Rule("duration(self.quiet) <= duration(self.max)", "quiet must not exceed max"),)

    quiet: Annotated[Duration, Between("1s", "15m")] = Field(
        description="It runs when there was no further event of the entity for so long, 1s to 15m. Required."
    )
    max: Annotated[Duration, Between("1s", "1h")] = Field(
        description=(
            "It runs so long after the first event at the latest, 1s to 1h; before that when 100 events or 1 MiB are "
            "collected. Required."
        )
    )


class Retry(Strict):
    """How long a delivery is worth trying."""

    attempts: int = Field(
        default=8,
        ge=1,
        le=20,
        description=(
            "Attempts that may fail by the delivery's own doing: cut short, timed out, an unreadable answer. Waiting "
            "for Claude, a sink or a key costs none. Default: 8."
        ),
    )
    deadline: Annotated[Duration, Between("1m", "168h")] = Field(
        default="24h",
        description=(
            "Time after receipt, or after a replay, when trying ends, 1m to 168h; for sinks, after the answer. "
            "Default: 24h."
        ),
    )


class Retention(Strict):
    """How long what has ended is kept; dead letters are kept for 30 days."""

    payload: Annotated[Duration, Between("0s", "720h")] | None = Field(
        default=None,
        description="The event itself, without which there is no replay, 0s to 720h. Default: the installation's, 1h.",
    )
    answer: Annotated[Duration, Between("0s", "720h")] | None = Field(
        default=None,
        description="The answer, 0s to 720h, at least as long as the payload. Default: the installation's, 24h.",
    )
    record: Annotated[Duration, Between("0s", "8760h")] | None = Field(
        default=None,
        description=(
            "What became of it, 0s to 8760h, at least as long as the answer. Default: the installation's, 168h."
        ),
    )


class Budget(Strict):
    """What calls may cost in a period."""

    rules = (
        Rule("has(self.usd) || has(self.tokens)", "set usd or tokens, or both"),
        Rule("!has(self.usd) || self.usd.matches('[1-9]')", "usd must be more than 0"),
    )

    period: Annotated[Duration, Between("1m", "744h")] = Field(
        default="24h",
        description=(
            "How long a period is, 1m to 744h. Periods follow each other from 1970 on, in UTC and by Redis' clock: 24h "
            "turns at midnight. Default: 24h."
        ),
    )
    usd: str | None = Field(
        default=None,
        max_length=13,
        pattern=USD,
        description='At most so many US dollars, as a text: "20" or "0.50". Default: any.',
    )
    tokens: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000_000_000,
        description="At most so many tokens, those of prompts, cached or not, and of answers. Default: any.",
    )
    warn_at: int = Field(
        default=80, ge=1, le=100, description="Percent spent from which on to warn, once a period. Default: 80."
    )
    on_exceeded: Literal["hold", "reject"] = Field(
        default="hold",
        description=(
            "What becomes of a delivery whose call may cost more than is left. `hold`: it waits, at no cost, and goes "
            "on by itself, in order, when the period turns or the budget rises; `reject`: it becomes a dead letter. A "
            "call that may cost more than the whole budget makes one in any case. Default: hold."
        ),
    )


class LogSink(Strict):
    """The answer as a log line of the worker."""


class StreamSink(Strict):
    """The answer as an entry of a capped Redis stream."""

    name: str = Field(
        default="results",
        max_length=63,
        pattern=rf"^{_LABEL}$",
        description="Name of the stream; its Redis key also holds the namespace. Default: results.",
    )
    max_entries: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Entries kept, about; older ones go first. Default: 10000."
    )


class HttpSink(Strict):
    """The answer POSTed to a service of your own, as a Standard Webhooks message."""

    url: str = Field(
        max_length=2048,
        pattern=r"^https?://[^\s]+$",
        description=(
            "Where the service listens. `https`, but for what `eventroute dev` reaches on this machine. Redirects are "
            "not followed. Required."
        ),
    )
    secret_refs: tuple[SecretKeyRef, ...] = Field(
        default=(),
        max_length=4,
        description=(
            "Secrets that messages are signed with, `whsec_` and base64: one signature each, so that the service may "
            "change from one to the next. Default: messages are not signed."
        ),
    )
    timeout: Annotated[Duration, Between("1s", "60s")] = Field(
        default="10s", description="How long the service may take to answer, 1s to 60s. Default: 10s."
    )


def _items_of_any_form(schema: dict[str, Any]) -> None:
    schema["items"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class SlackSink(Strict):
    """The answer as a message in Slack, as plain text, or as the template and blocks of the sink say."""

    rules = (
        Rule(
            "!has(self.update) || !self.update || has(self.tokenRef)",
            "update needs tokenRef; a webhook only posts",
        ),
        exactly_one("urlRef", "tokenRef"),
        Rule("!has(self.channel) || has(self.tokenRef)", "channel needs tokenRef; an incoming webhook has its own one"),
    )

    url_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with an incoming webhook's URL, `https://hooks.slack.com/services/…`. Default: `tokenRef`.",
    )
    token_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with the token of an app, `xoxb-…`, that has the scope `chat:write`. Default: `urlRef`.",
    )
    channel: str | None = Field(
        default=None,
        max_length=32,
        pattern=SLACK_ID,
        description=(
            "Id of the channel that the app posts to, or of a member. Default: where the event is from, in the thread "
            "of its message; with provider slack only."
        ),
    )
    update: bool = Field(
        default=False,
        description=(
            "Keep one message for each `entity`, changed by each answer, instead of a message for each answer. Needs "
            "tokenRef and entity. Default: false."
        ),
    )
    blocks: tuple[dict[str, Any], ...] = Field(
        default=(),
        max_length=50,
        description=(
            "Block Kit: how the message looks. Each text in it may be a template like `message`; what is too long for "
            "its place is cut. `message`, or the answer's text, is what notifications show. Default: only the text."
        ),
        json_schema_extra=_items_of_any_form,
    )


class GithubApp(Strict):
    """A GitHub App that is installed where it writes."""

    id: int = Field(ge=1, le=2**53, description="App ID, as its settings show it. Required.")
    installation_id: int | None = Field(
        default=None,
        ge=1,
        le=2**53,
        description="Id of one installation. Default: the one that has the repository.",
    )
    private_key_ref: SecretKeyRef = Field(
        description="Secret with a private key of the App, the PEM file as GitHub made it. Required."
    )


class GithubComment(Strict):
    """The answer as a comment."""

    update: bool = Field(
        default=True,
        description=(
            "Whether one comment tells the newest answer of the sink, and is updated with each; otherwise each answer "
            "is a comment of its own. Default: true."
        ),
    )


class GithubReply(Strict):
    """The answer as a reply in the review thread that the event is from."""


class GithubLabels(Strict):
    """Labels that are added."""

    names: tuple[GithubLabel, ...] = Field(
        min_length=1, max_length=32, description="Names of labels; those that do not exist are made. Required."
    )
    pick: UserText | None = Field(
        default=None,
        min_length=1,
        description=(
            "Liquid, with the variables of `message`; says which of `names` are added, one a line or with commas "
            "between them: `{{ answer.value.label }}`. What it says beside them is not added. Default: all of them."
        ),
    )


class GithubCheckRun(Strict):
    """The answer as a check run of the event's head commit."""

    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$", description="What the check is called. Required."
    )
    conclusion: Literal["success", "failure", "neutral", "action_required"] = Field(
        default="neutral",
        description="How it ends; two sinks with `when` of their own tell success from failure. Default: neutral.",
    )


class GithubSink(Strict):
    """The answer at GitHub, where the event is from."""

    rules = (
        exactly_one("tokenRef", "app"),
        exactly_one("comment", "reply", "labels", "checkRun"),
        Rule("!has(self.checkRun) || has(self.app)", "checkRun needs app; GitHub takes check runs from Apps only"),
        Rule("has(self.repository) == has(self.number)", "set both of repository and number, or neither"),
        Rule(
            "!has(self.repository) || has(self.comment) || has(self.labels)",
            "repository is for comment and labels; reply and checkRun stay where the event is from",
        ),
    )

    token_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret with a personal access token, `github_pat_…` or `ghp_…`. Default: `app`.",
    )
    app: GithubApp | None = Field(default=None, description="The App that writes. Default: `tokenRef`.")
    base_url: str = Field(
        default="https://api.github.com",
        alias="baseURL",
        max_length=512,
        pattern=API_URL,
        description=(
            "Where the API is, of GitHub Enterprise Server `https://ghe.example.com/api/v3`. "
            "Default: https://api.github.com."
        ),
    )
    repository: str | None = Field(
        default=None,
        max_length=140,
        pattern=GITHUB_REPOSITORY,
        description="`owner/name` of the repository. Default: the event's; with provider github only.",
    )
    number: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description=(
            'Number of an issue or pull request there, `"12"`, or Liquid that makes one of the event: '
            "`{{ payload.issue }}`. Of `answer` it knows nothing. Default: the event's; with provider github only."
        ),
    )
    comment: GithubComment | None = Field(
        default=None,
        description=(
            "As a comment on the issue, pull request, discussion or commit: `comment: {}`. Default: one of the others."
        ),
    )
    reply: GithubReply | None = Field(
        default=None, description="As a reply in the review thread: `reply: {}`. Default: one of the others."
    )
    labels: GithubLabels | None = Field(
        default=None, description="As labels of the issue or pull request. Default: one of the others."
    )
    check_run: GithubCheckRun | None = Field(
        default=None, description="As a check run of the head commit; needs `app`. Default: one of the others."
    )


_SQL_NAME: Final = "[a-z_][a-z0-9_]{0,62}"
SQL_CHANNEL: Final = rf"^{_SQL_NAME}$"
SQL_TABLE: Final = rf"^{_SQL_NAME}(\.{_SQL_NAME})?$"
"""What PostgreSQL takes for the same with quotes and without."""


class PostgresSink(Strict):
    """The answer as a row of a PostgreSQL table, which the sink writes to and does not make."""

    url_ref: SecretKeyRef = Field(
        description=(
            "Secret with the database's URL, `postgresql://user:password@host:5432/database`, to which "
            "`?sslmode=verify-full` may be added. TLS is required, unless the URL of a private host says otherwise; "
            "only the verify modes check whose server it is. Required."
        )
    )
    table: str = Field(
        default="eventroute_answers",
        max_length=127,
        pattern=SQL_TABLE,
        description=(
            "The table, `table` or `schema.table`, made as postgres.sql of the worker says. A row per answer, by its "
            "idempotency_key. Default: eventroute_answers."
        ),
    )
    notify: str | None = Field(
        default=None,
        max_length=63,
        pattern=SQL_CHANNEL,
        description="Channel that is notified (`LISTEN`) with the idempotency_key of each row. Default: none.",
    )


class RouteSink(Strict):
    """The answer as an event of another route of the namespace, whose provider is `eventroute`."""

    name: str = Field(
        max_length=253,
        pattern=rf"^{_LABEL}(\.{_LABEL})*$",
        description=(
            "The route; its provider is eventroute. What it says of entities, limits, hops and suspension holds for "
            "answers as for any event. Routes that lead back to themselves are refused. Required."
        ),
    )
    event: str = Field(
        default="eventroute.answer",
        max_length=200,
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
        description="What the event is called there. Default: eventroute.answer.",
    )


SINK_KINDS: Final = ("github", "http", "log", "postgres", "route", "slack", "stream")
"""As their fields are called."""

_AS_IT_IS: Final = ("log", "stream")
"""Those that are no messages."""


class Sink(Strict):
    """Where answers go: exactly one kind per entry."""

    rules = (
        exactly_one(*SINK_KINDS),
        Rule(
            " || ".join(("!has(self.message)", *(f"has(self.{kind})" for kind in SINK_KINDS if kind not in _AS_IT_IS))),
            f"message is not for {' and '.join(_AS_IT_IS)}, which have the answer as it is",
        ),
        Rule(
            "!has(self.message) || !has(self.github) || !has(self.github.labels)",
            "message is not for labels; names and pick say which are added",
        ),
    )

    name: str | None = Field(
        default=None,
        max_length=63,
        pattern=rf"^{_LABEL}$",
        description=(
            "Identity of the sink: an answer goes once to each name, wherever it stands in the list. Default: its "
            "kind, and for a stream `stream-` and the stream's name."
        ),
    )
    when: Cel | None = Field(
        default=None,
        description=(
            "CEL; the sink gets the answers for which it is true. Beside `payload`, `event`, `headers` and `route` "
            "there are `entity`, and `answer` with its `text`, `outcome`, `model` and, with a schema, `value`. Where a "
            "field is missing it does not hold; any other error makes a dead letter `sink`. Default: all."
        ),
    )
    message: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_TEMPLATE_LENGTH,
        description=(
            "Liquid; what is told in place of the answer's text. Its variables are those of `prompts[].user`, and "
            "`answer` with its `text`, `outcome`, `reason`, `model` and, with a schema, `value`. What they hold is "
            "escaped for whoever reads it there. Default: the answer's text."
        ),
    )
    github: GithubSink | None = Field(default=None, description="As a comment, reply, labels or check run at GitHub.")
    http: HttpSink | None = Field(default=None, description="As a signed message to a service of your own.")
    log: LogSink | None = Field(default=None, description="As a log line of the worker: `log: {}`.")
    postgres: PostgresSink | None = Field(default=None, description="As a row of a PostgreSQL table.")
    route: RouteSink | None = Field(default=None, description="As an event of another route of this namespace.")
    slack: SlackSink | None = Field(default=None, description="As a message in Slack.")
    stream: StreamSink | None = Field(default=None, description="As an entry of a Redis stream.")


def _sink_name(sink: str) -> str:
    """Name a sink in CEL, as `eventroute.compile.sink_name` does."""
    stream = f"has({sink}.stream.name) ? {sink}.stream.name : '{StreamSink.model_fields['name'].default}'"
    others = [kind for kind in SINK_KINDS if kind not in ("log", "stream")]
    of_one_name = "".join(f"has({sink}.{kind}) ? '{kind}' : " for kind in others) + "'log'"
    by_kind = f"has({sink}.stream) ? 'stream-' + ({stream}) : {of_one_name}"
    return f"(has({sink}.name) ? {sink}.name : {by_kind})"


class EventRouteSpec(Strict):
    """What a team wants to happen with a provider's events."""

    rules = (
        Rule(
            "(self.provider == 'custom') == has(self.custom)",
            "custom is required with provider custom, and not allowed with any other",
        ),
        Rule(
            "!has(self.concurrency) || !has(self.concurrency.perEntity) || has(self.entity)",
            "concurrency.perEntity needs entity, which names whom the events are about",
        ),
        Rule(
            "!has(self.debounce) || has(self.entity)",
            "debounce needs entity, which names whose events are collected",
        ),
        Rule(
            "!has(self.supersede) || !self.supersede || has(self.entity)",
            "supersede needs entity, which names whose newest event counts",
        ),
        Rule(
            "!has(self.supersede) || !self.supersede || !has(self.debounce)",
            "set debounce, which collects an entity's events, or supersede, which keeps the newest one alone",
        ),
        Rule("!has(self.history) || has(self.entity)", "history needs entity, which names whom the events are about"),
    )
    early_rules = (
        *provider_rules((*SCHEMES.values(), INSIDE)),
        Rule(
            f"!has(self.sinks) || self.sinks.all(a, self.sinks.exists_one(b, {_sink_name('a')} == {_sink_name('b')}))",
            "two sinks have the same name; an answer goes once to each name",
            field=".sinks",
        ),
    )

    provider: str = Field(
        max_length=63,
        pattern=rf"^{_LABEL}$",
        description=(
            "A row of the scheme table, `custom`, or `eventroute`, whose events are answers of other routes. What is "
            "queued when it changes is worked on by the prompts that there are then. Required."
        ),
        json_schema_extra={"enum": [*SCHEMES, INSIDE.name, "custom"]},
    )
    custom: CustomScheme | None = Field(
        default=None, description="The sender's scheme, exactly when provider is custom. Default: none."
    )
    secret_refs: tuple[SecretKeyRef, ...] = Field(
        default=(),
        max_length=4,
        description="Secrets to verify with, the current one first; all are accepted. Default: none.",
    )
    verify_token_ref: SecretKeyRef | None = Field(
        default=None,
        description=(
            "Secret with the token that the provider shows when it sets the webhook up (Meta's and Strava's verify "
            "token): made up by you, 16 bytes or more, and not what events are verified with. Default: none."
        ),
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="Must be true for a scheme that proves nothing about the sender. Default: false.",
    )
    require_strength: Literal["authenticated", "verified"] | None = Field(
        default=None,
        description=(
            "Refuse the route unless its scheme proves at least this: the sender knew a secret, or the body is covered "
            "by a key. Default: what the scheme offers."
        ),
    )
    tolerance: Annotated[Duration, Between("1s", "24h")] | None = Field(
        default=None,
        description=(
            "How far a signed timestamp may be from now, 1s to 24h: at least as long as a sender sends a request again "
            "that it signed once. Default: the scheme's; 300s for custom ones with a timestamp."
        ),
    )
    public_url: str | None = Field(
        default=None,
        alias="publicURL",
        max_length=2048,
        pattern=HTTP_URL,
        description="The URL as the provider calls it, for schemes that sign it. Default: none.",
    )
    suspend: Suspend | None = Field(
        default=None, description="Start nothing until this is removed; calls under way end. Default: not suspended."
    )
    own_actors: tuple[ActorName, ...] = Field(
        default=(),
        max_length=8,
        description=(
            "Who writes to the provider with our answers: names or ids as its events tell who caused them "
            "(`services/PROVIDERS.md`). Events that one of them caused are answered with success and start nothing, so "
            "that no answer calls for the next. Default: nobody."
        ),
    )
    max_hops: int = Field(
        default=5,
        ge=1,
        le=20,
        description=(
            "How many answers may lead to each other, 1 to 20, over all routes: an event behind which so many stand is "
            "answered with success and starts nothing. They are known by the marker of each answer, which is to be "
            "written with it wherever it is written (`services/README.md`, Loops). Default: 5."
        ),
    )
    filter: Cel | None = Field(
        default=None,
        description=(
            "CEL over payload, event, headers and route; deliveries for which it is not true are answered with success "
            "and start nothing; those that it fails on, but for a missing field, are kept as dead letters. "
            "Default: every delivery counts."
        ),
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=26_214_400)] | None = Field(
        default=None,
        description=(
            "Largest request body, in bytes; what stands before the receivers must let as much through. Default: what "
            "the provider is known to send at most (`services/PROVIDERS.md`), else 1048576."
        ),
    )
    rate_limit: RateLimit | None = Field(
        default=None, description="How many deliveries are accepted. Default: no limit."
    )
    redact: Redact = Field(
        default_factory=Redact, description="What is not to be kept of an event. Default: everything is kept."
    )
    model: Model = Field(default_factory=Model, description="Which model answers. Default: the defaults of its fields.")
    prompts: tuple[Prompt, ...] = Field(
        default=(Prompt(),),
        min_length=1,
        max_length=32,
        description="The first one that applies is asked. Default: one prompt with default texts for any event.",
    )
    entity: Cel | None = Field(
        default=None,
        description=(
            "CEL that names whom the event is about, as a text or number: a customer, a pull request. Default: nobody, "
            "and no history."
        ),
    )
    history: History | None = Field(
        default=None,
        description="How much of the entity's past is kept and told. Default: its fields' defaults, with `entity`.",
    )
    concurrency: Concurrency = Field(
        default_factory=Concurrency, description="How many deliveries are worked on at once. Default: any number."
    )
    debounce: Debounce | None = Field(
        default=None,
        description=(
            "Collect events of one `entity` to one run: its template has all of them as `events`, and the last one as "
            "`payload` and `event`, by which its prompt is chosen. Default: each event runs for itself."
        ),
    )
    supersede: bool = Field(
        default=False,
        description=(
            "Of one `entity`, only the newest event counts: it replaces one that waits, and cuts off a call to Claude "
            "about an earlier one; what that may have cost counts all the same. Default: each event runs for itself."
        ),
    )
    retry: Retry = Field(
        default_factory=Retry, description="How long a delivery is tried. Default: the defaults of its fields."
    )
    retention: Retention = Field(
        default_factory=Retention,
        description="How long what has ended is kept. Default: as the installation says.",
    )
    budget: Budget | None = Field(default=None, description="What the route's calls may cost. Default: any amount.")
    sinks: tuple[Sink, ...] = Field(
        default=(Sink(log=LogSink()),), min_length=1, max_length=8, description="Where answers go. Default: the log."
    )


class Metadata(BaseModel):
    """What is used of an object's metadata; the rest belongs to Kubernetes."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, alias_generator=to_camel)

    name: ObjectName = Field(description="Name of the object. Required.")
    namespace: Namespace = Field(default="default", description="Namespace of the object. Default: default.")
    labels: dict[str, LabelText] | None = Field(default=None, description="Labels, all of them texts. Default: none.")
    annotations: dict[str, AnnotationText] | None = Field(default=None, description="The same. Default: none.")
    uid: str = Field(default="", max_length=128, description="Identity, given by the API server. Default: none.")
    generation: int = Field(default=1, ge=0, description="Version of the spec, counted by the API server. Default: 1.")


class EventRoute(BaseModel):
    """A route from a provider's webhooks to Claude."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)

    api_version: Literal["eventroute.dev/v1alpha1"] = Field(description="Always eventroute.dev/v1alpha1.")
    kind: Literal["EventRoute"] = Field(description="Always EventRoute.")
    metadata: Metadata = Field(description="Name and namespace.")
    spec: EventRouteSpec = Field(description="What is wanted.")
    status: dict[str, object] | None = Field(
        default=None, description="Written by the operator; ignored in manifests. Default: none.", repr=False
    )
