"""From EventRoutes, Secrets and ConfigMaps to the route tables, with a verdict on each route.

Pure: the operator, the local mode and `eventroute lint` call it alike. A route with an error is in neither table, and
never affects another. What is judged is in `_CHECKS`, in the order in which a person would mend it.
"""

import datetime as dt
import re
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec.structs import replace

from eventroute.answer_schema import AnswerSchema, SchemaRefused
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.crd.objects import ObjectKey
from eventroute.errors import Refused
from eventroute.event_names import EventNames
from eventroute.expression import OF_ANSWERS, VARIABLES, ExpressionRefused, compile_expression
from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute.match import covers
from eventroute.models import CacheRule, Model, Models, Told, tell, tell_nearest
from eventroute.outbound import Blocked, OutboundRules, Rule, read_url
from eventroute.policy import Policy
from eventroute.route_table import (
    INSTALLATION,
    SLACK,
    BudgetRule,
    DebounceRule,
    HistoryRule,
    HttpSink,
    LogSink,
    ModelCall,
    PromptRule,
    RateLimit,
    ReceiverRoute,
    RedactRule,
    RetentionRule,
    RetryRule,
    Sink,
    SlackApp,
    SlackSink,
    SlackWebhook,
    StreamSink,
    WorkerRoute,
    whose,
)
from eventroute.schemes import (
    SCHEMES,
    HandshakeRule,
    Match,
    Scheme,
    SecretProblem,
    Strength,
    lending,
    lint_key,
    lint_scheme,
    lint_verify_token,
    needs_public_url,
    needs_secret,
    needs_verify_token,
    strength,
)
from eventroute.secret import Secret
from eventroute.suggest import nearest
from eventroute.template import TemplateRefused, compile_template

MAX_MESSAGE_LENGTH: Final = 256
CUSTOM: Final = "custom"

Secrets = Mapping[ObjectKey, Mapping[str, Secret]]
ConfigMaps = Mapping[ObjectKey, Mapping[str, str]]
Value = TypeVar("Value")

_LOCAL_UIDS: Final = uuid.UUID("5f0e3a52-3c5d-5d7e-9b52-6f2a6f0a7f11")
"""Namespace of the uids that routes without an API server get; random, and never to be changed."""
_DEFAULT_TOLERANCE_S: Final = 300
_BYTES_PER_TOKEN: Final = 4  # of English, about
_ROOM_FOR_THINKING: Final = 4096
"""Tokens that a short answer and the thinking before it rarely exceed at low effort. Arbitrary."""
_SIGNING_KINDS: Final = frozenset({"hmac", "ed25519", "ecdsa-p256"})
_SLACK_TOKEN: Final = (re.compile(rb"xox[!-~]+"), "a token that posts, `xoxb-…`: see OAuth & Permissions of the app")
_SLACK_URL: Final = (
    re.compile(rb"https://hooks\.slack(-gov)?\.com/services/[!-~]+|http://(localhost|127\.0\.0\.1):[0-9]+/[!-~]*"),
    "the URL of an incoming webhook, `https://hooks.slack.com/services/…`: see Incoming Webhooks of the app",
)
"""What a Secret has to hold, and what it is called; on this machine stands in for Slack what a developer runs there."""
_STRENGTHS: Final = (Strength.OPEN, Strength.AUTHENTICATED, Strength.VERIFIED)


class Condition(StrEnum):
    """Which condition of the route's status a problem belongs to."""

    ACCEPTED = "Accepted"
    SECRETS_RESOLVED = "SecretsResolved"
    PROMPTS_VALID = "PromptsValid"


class Severity(StrEnum):
    """What a problem means for the route."""

    ERROR = "error"
    """The route is not served."""
    WARNING = "warning"
    """Served, though probably not as intended."""
    NOTE = "note"
    """Could not be judged with what is at hand."""


class Reason(StrEnum):
    """What is wrong; stable, and used as a condition's reason."""

    DUPLICATE_PATH = "DuplicatePath"
    UNKNOWN_PROVIDER = "UnknownProvider"
    INVALID_SCHEME = "InvalidScheme"
    SIGNED_TEXT_AMBIGUOUS = "SignedTextAmbiguous"
    UNAUTHENTICATED = "UnauthenticatedNotAllowed"
    STRENGTH_TOO_WEAK = "StrengthTooWeak"
    TOLERANCE_WITHOUT_TIMESTAMP = "ToleranceWithoutTimestamp"
    ACTOR_UNKNOWN = "ActorUnknown"
    PUBLIC_URL_MISSING = "PublicURLMissing"

    SECRET_REF_MISSING = "SecretRefMissing"  # a reason's name
    SECRET_UNUSED = "SecretUnused"  # the same
    SECRET_NOT_FOUND = "SecretNotFound"  # the same
    SECRET_KEY_NOT_FOUND = "SecretKeyNotFound"  # the same
    SECRET_EMPTY = SecretProblem.EMPTY.value
    SECRET_HAS_WHITESPACE = SecretProblem.HAS_WHITESPACE.value
    SECRET_PUBLICLY_KNOWN = SecretProblem.PUBLICLY_KNOWN.value
    SECRET_UNDECODABLE = SecretProblem.UNDECODABLE.value
    SECRET_WRONG_TYPE = SecretProblem.WRONG_TYPE.value
    SECRET_TOO_SHORT = SecretProblem.TOO_SHORT.value

    INVALID_EXPRESSION = "InvalidExpression"
    INVALID_TEMPLATE = "InvalidTemplate"
    UNKNOWN_VARIABLE = "UnknownVariable"
    CONFIG_MAP_NOT_FOUND = "ConfigMapNotFound"
    CONFIG_MAP_KEY_NOT_FOUND = "ConfigMapKeyNotFound"
    TEXT_TOO_LONG = "TextTooLong"
    UNREACHABLE_PROMPT = "UnreachablePrompt"
    UNKNOWN_EVENT = "UnknownEvent"
    PRICE_UNKNOWN = "PriceUnknown"
    BUDGET_TOO_SMALL = "BudgetTooSmall"
    POLICY_VIOLATION = "PolicyViolation"
    DUPLICATE_SINK = "DuplicateSink"
    CHANNEL_MISSING = "ChannelMissing"
    SINK_OUT_OF_REACH = "SinkOutOfReach"

    INVALID_OUTPUT_SCHEMA = "InvalidOutputSchema"
    MODEL_REFUSES = "ModelRefuses"
    MODEL_UNKNOWN = "ModelUnknown"
    MODEL_RETIRES = "ModelRetires"
    MODEL_RETIRED = "ModelRetired"
    THINKING_UNBOUNDED = "ThinkingUnbounded"
    CACHE_UNUSED = "CacheUnused"


class Problem(NamedTuple):
    """One thing that is wrong with a route."""

    condition: Condition
    severity: Severity
    reason: Reason
    field: str
    """Dotted path, `spec.prompts[1].user`."""
    line: int
    """Within the field's text, from 1; 0 when the field as a whole is meant."""
    message: str
    """At most 256 characters; names route, field and line; never holds a secret."""


class Verdict(NamedTuple):
    """What became of one route."""

    path: RoutePath
    uid: RouteUid
    generation: int
    problems: tuple[Problem, ...]

    @property
    def is_served(self) -> bool:
        """Whether the route stands in both tables."""
        return all(problem.severity is Severity.WARNING for problem in self.problems)

    def of(self, condition: Condition) -> tuple[Problem, ...]:
        """Pick the errors that make a condition false."""
        return tuple(
            problem
            for problem in self.problems
            if problem.condition is condition and problem.severity is Severity.ERROR
        )


class Compiled(NamedTuple):
    """The tables of all routes that can be served, and a verdict on each route, in the order given."""

    receiver: dict[RoutePath, ReceiverRoute]
    worker: dict[RoutePath, WorkerRoute]
    verdicts: tuple[Verdict, ...]


def compile_routes(  # noqa: PLR0913 - what is at hand, all by name
    routes: Sequence[crd.EventRoute],
    *,
    secrets: Secrets,
    config_maps: ConfigMaps,
    complete: bool = True,
    models: Models | None = None,
    today: dt.date | None = None,
    policy: Policy | None = None,
    events: EventNames | None = None,
    outbound: OutboundRules | None = None,
) -> Compiled:
    """Judge routes, and build the table entries of those that can be served.

    routes       the older first: of two with one path, the first keeps it
    secrets      those of all namespaces
    config_maps  the same
    complete     False = there may be more of both elsewhere, so that references to others are only noted; a route
                 with such a note is not served
    models       what is known of each model; None = the built-in data
    today        by which retired models are told, UTC; None = they are not, and no day takes a route out of service
    policy       what the platform's owner allows; None = anything
    events       which ones providers are known to send, so that others are warned of; None = any
    outbound     what sinks may connect to; None = not known here, and what may be refused is only warned of
    """
    at_hand = _AtHand(
        _Shelf("Secret", secrets, Reason.SECRET_NOT_FOUND, Reason.SECRET_KEY_NOT_FOUND, complete),
        _Shelf("ConfigMap", config_maps, Reason.CONFIG_MAP_NOT_FOUND, Reason.CONFIG_MAP_KEY_NOT_FOUND, complete),
        models or Models.load(),
        today,
        policy or Policy(),
        events or EventNames(),
        outbound,
    )
    receiver: dict[RoutePath, ReceiverRoute] = {}
    worker: dict[RoutePath, WorkerRoute] = {}
    verdicts: list[Verdict] = []
    taken: set[RoutePath] = set()
    for route in routes:
        gathered = _gather(route, at_hand, taken)
        verdict = Verdict(
            path=gathered.path,
            uid=gathered.uid,
            generation=route.metadata.generation,
            problems=tuple(problem for check in _CHECKS for problem in check(gathered)),
        )
        verdicts.append(verdict)
        taken.add(gathered.path)
        if verdict.is_served:
            receiver[gathered.path] = _receiver_route(gathered)
            worker[gathered.path] = _worker_route(gathered)
    return Compiled(receiver, worker, tuple(verdicts))


# --- what the checks look at ------------------------------------------------------------------------------------------


class _Absent(NamedTuple):
    """Why a reference leads nowhere."""

    reason: Reason
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class _Found(Generic[Value]):
    """What a field says, itself or by reference."""

    field: str
    value: Value | _Absent


@dataclass(frozen=True, slots=True)
class _Shelf(Generic[Value]):
    """All objects of a kind that are at hand."""

    kind: str
    objects: Mapping[ObjectKey, Mapping[str, Value]]
    no_object: Reason
    no_key: Reason
    complete: bool

    def find(self, name: ObjectKey, key: str) -> Value | _Absent:
        data = self.objects.get(name)
        if data is None and not self.complete:
            return _Absent(self.no_object, Severity.NOTE, f'{self.kind} "{name.name}" was not looked at')
        if data is None:
            hint = nearest(name.name, [other.name for other in self.objects if other.namespace == name.namespace])
            message = f'there is no {self.kind} "{name.name}" in {name.namespace}{hint}'
            return _Absent(self.no_object, Severity.ERROR, message)
        if key not in data:
            message = f'{self.kind} "{name.name}" has no key "{key}"{nearest(key, list(data))}'
            return _Absent(self.no_key, Severity.ERROR, message)
        return data[key]


@dataclass(frozen=True, slots=True)
class _AtHand:
    """What routes refer to."""

    secrets: _Shelf[Secret]
    texts: _Shelf[str]
    models: Models
    today: dt.date | None
    policy: Policy
    events: EventNames
    outbound: OutboundRules | None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A model that may be asked."""

    name: str
    model: Model
    """What is known of it."""
    max_tokens: int
    told: Told | Refused
    """What is sent, or why the model does not take it."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a prompt wants of which model."""

    field: str
    """Where most of it stands: the route's model, or the prompt's."""
    want: crd.Model
    """The route's, with what the prompt changes."""
    first: _Candidate
    fallback: _Candidate | None


@dataclass(frozen=True, slots=True)
class _Gathered:
    """One route and all that it refers to."""

    path: RoutePath
    uid: RouteUid
    is_taken: bool
    route: crd.EventRoute
    scheme: Scheme | None
    """None when nobody knows the provider."""
    secrets: tuple[_Found[Secret], ...]
    verify_token: _Found[Secret] | None
    api_key: _Found[Secret] | None
    systems: tuple[_Found[str | None], ...]
    """One per prompt, as `users`; None = the default text."""
    users: tuple[_Found[str | None], ...]
    asked: tuple[_Asked, ...]
    """The same."""
    sink_secrets: tuple[tuple[_Found[Secret], ...], ...]
    """Those of each sink."""
    at_hand: _AtHand

    @property
    def spec(self) -> crd.EventRouteSpec:
        return self.route.spec

    def problem(
        self, reason: Reason, field: str, message: str, *, line: int = 0, severity: Severity = Severity.ERROR
    ) -> Problem:
        place = f"{field.removeprefix('spec.')}, line {line}" if line else field.removeprefix("spec.")
        text = f"route {self.path}: {place}: {message}"
        if len(text) > MAX_MESSAGE_LENGTH:
            text = text[: MAX_MESSAGE_LENGTH - 1] + "…"
        return Problem(_condition(reason, field), severity, reason, field, line, text)

    def absent(self, found: _Found[Value]) -> Iterator[Problem]:
        if isinstance(found.value, _Absent):
            yield self.problem(found.value.reason, found.field, found.value.message, severity=found.value.severity)


def _condition(reason: Reason, field: str) -> Condition:
    if reason.startswith("Secret"):
        return Condition.SECRETS_RESOLVED
    return Condition.PROMPTS_VALID if field.startswith("spec.prompts") else Condition.ACCEPTED


def _gather(route: crd.EventRoute, at_hand: _AtHand, taken: Collection[RoutePath]) -> _Gathered:
    namespace, spec = route.metadata.namespace, route.spec
    path = route_path(namespace, route.metadata.name)

    def secret(field: str, ref: crd.SecretKeyRef) -> _Found[Secret]:
        return _Found(field, at_hand.secrets.find(ObjectKey(namespace, ref.name), ref.key))

    def text(field: str, inline: str | None, ref: crd.ConfigMapKeyRef | None) -> _Found[str | None]:
        if ref is None:
            return _Found(field, inline)
        return _Found(f"{field}From", at_hand.texts.find(ObjectKey(namespace, ref.name), ref.key))

    prompts = {f"spec.prompts[{index}]": prompt for index, prompt in enumerate(spec.prompts)}
    token_ref, key_ref = spec.verify_token_ref, spec.model.api_key_ref
    return _Gathered(
        path=path,
        uid=RouteUid(route.metadata.uid or str(uuid.uuid5(_LOCAL_UIDS, path))),
        is_taken=path in taken,
        route=route,
        scheme=scheme_of(spec),
        secrets=tuple(secret(f"spec.secretRefs[{index}]", ref) for index, ref in enumerate(spec.secret_refs)),
        verify_token=secret("spec.verifyTokenRef", token_ref) if token_ref else None,
        api_key=secret("spec.model.apiKeyRef", key_ref) if key_ref else None,
        systems=tuple(text(f"{field}.system", own.system, own.system_from) for field, own in prompts.items()),
        users=tuple(text(f"{field}.user", own.user, own.user_from) for field, own in prompts.items()),
        asked=tuple(_ask(spec.model, own.model, f"{field}.model", at_hand.models) for field, own in prompts.items()),
        sink_secrets=tuple(
            tuple(secret(f"spec.sinks[{index}].{field}", ref) for field, ref in _sink_refs(sink))
            for index, sink in enumerate(spec.sinks)
        ),
        at_hand=at_hand,
    )


def _sink_refs(sink: crd.Sink) -> Iterator[tuple[str, crd.SecretKeyRef]]:
    """List what a sink reads of Secrets."""
    for number, ref in enumerate(sink.http.secret_refs if sink.http else ()):
        yield f"http.secretRefs[{number}]", ref
    if sink.slack and sink.slack.url_ref:
        yield "slack.urlRef", sink.slack.url_ref
    if sink.slack and sink.slack.token_ref:
        yield "slack.tokenRef", sink.slack.token_ref


def _ask(routes: crd.Model, own: crd.PromptModel, field: str, models: Models) -> _Asked:
    """Put what a prompt says of its model over what the route says."""
    changes = {name: value for name in crd.PromptModel.model_fields if (value := getattr(own, name)) is not None}
    if own.name and own.name == routes.fallback and not own.fallback:
        changes["fallback"] = None  # it is the other one that is asked already
    want = routes.model_copy(update=changes)
    model = models.find(want.name) or Model()
    told: Told | Refused
    try:
        told = tell(model, thinking=want.thinking, effort=want.effort)
    except Refused as refused:
        told = refused
    return _Asked(
        field if changes else "spec.model",
        want,
        _Candidate(want.name, model, want.max_tokens, told),
        _stand_in(want, want.fallback, models) if want.fallback else None,
    )


def _stand_in(want: crd.Model, name: str, models: Models) -> _Candidate:
    model = models.find(name) or Model()
    told = tell_nearest(model, thinking=want.thinking, effort=want.effort)
    return _Candidate(name, model, min(want.max_tokens, model.max_output or want.max_tokens), told)


def references(spec: crd.EventRouteSpec) -> frozenset[crd.SecretKeyRef | crd.ConfigMapKeyRef]:
    """Find every reference in a spec, wherever it stands, so that no field can be forgotten by who follows them."""
    return frozenset(_references(spec))


def _references(value: object) -> Iterator[crd.SecretKeyRef | crd.ConfigMapKeyRef]:
    if isinstance(value, crd.SecretKeyRef | crd.ConfigMapKeyRef):
        yield value
    elif isinstance(value, crd.Strict):
        for name in type(value).model_fields:
            yield from _references(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _references(each)


def scheme_of(spec: crd.EventRouteSpec) -> Scheme | None:
    """Find the provider's row, or make one of `custom`; the route's own tolerance replaces the row's.

    What a row would forget before it is too old is remembered for longer; `custom` says itself for how long.
    """
    scheme = _custom_scheme(spec.custom) if spec.custom else SCHEMES.get(spec.provider)
    if scheme is None or not scheme.timestamp or not spec.tolerance:
        return scheme
    tolerance_s = seconds(spec.tolerance)
    needed_s = 0 if spec.custom else tolerance_s + scheme.retry_window_s
    return replace(scheme, tolerance_s=tolerance_s, dedup_ttl_s=max(scheme.dedup_ttl_s, needed_s))


def _custom_scheme(custom: crd.CustomScheme) -> Scheme:
    return Scheme(
        name=CUSTOM,
        kind=custom.kind,
        signature=custom.signature or "",
        separator=custom.separator,
        prefix=custom.prefix,
        encoding=custom.encoding,
        digest=custom.digest,
        legacy_digest=custom.legacy_digest,
        key=custom.key,
        signed=custom.signed or (("body",) if custom.kind in _SIGNING_KINDS else ()),
        covers_body=custom.covers_body,
        timestamp=custom.timestamp or "",
        timestamp_unit=custom.timestamp_unit,
        tolerance_s=_DEFAULT_TOLERANCE_S if custom.timestamp else None,
        advisory=custom.advisory,
        event=custom.event,
        actor=custom.actor,
        ignored_events=custom.ignored_events,
        id=custom.id,
        dedup_ttl_s=seconds(custom.dedup_ttl),
        batch=custom.batch,
        form=custom.form,
        document=custom.document,
        handshake=tuple(
            HandshakeRule(
                method=rule.method,
                when=tuple(
                    Match(source=match.source, equals=match.equals, verify_token=match.verify_token)
                    for match in rule.when
                ),
                status=rule.status,
                body=rule.body,
                echo=rule.echo,
                proof=rule.proof,
                proof_prefix=rule.proof_prefix,
            )
            for rule in custom.handshake
        ),
        success_status=custom.success_status,
    )


# --- checks: each one looks at one thing ------------------------------------------------------------------------------

_Check = Callable[[_Gathered], Iterator[Problem]]


def _path_is_free(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.is_taken:
        message = "an older route has the same namespace and name, and keeps the path"
        yield gathered.problem(Reason.DUPLICATE_PATH, "metadata.name", message)


def _provider_is_known(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.scheme is None:
        provider = gathered.spec.provider
        message = f'unknown provider "{provider}"{nearest(provider, [*SCHEMES, CUSTOM])}'
        yield gathered.problem(Reason.UNKNOWN_PROVIDER, "spec.provider", message)


def _custom_scheme_is_sound(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.scheme and gathered.spec.custom:
        for sentence in lint_scheme(gathered.scheme):
            column, _, message = sentence.partition(": ")
            name = re.split(r"\W", column)[0].removesuffix("_s")
            field = crd.CustomScheme.model_fields.get(name)
            if field:
                within = column[len(name) :] if name == "handshake" else ""
                yield gathered.problem(Reason.INVALID_SCHEME, f"spec.custom.{field.alias}{within}", message)
            else:  # a column that follows from another field, as the tolerance does
                yield gathered.problem(Reason.INVALID_SCHEME, "spec.custom", sentence)


def _signed_text_has_one_reading(gathered: _Gathered) -> Iterator[Problem]:
    found = lending(gathered.scheme) if gathered.scheme and gathered.spec.custom else None
    if found:
        message = (
            f"{found[0]} and {found[1]} stand side by side, so that bytes of one can pass for the other's: a captured "
            "request runs once, but may say something else"
        )
        yield gathered.problem(Reason.SIGNED_TEXT_AMBIGUOUS, "spec.custom.signed", message, severity=Severity.WARNING)


def _sender_is_authenticated(gathered: _Gathered) -> Iterator[Problem]:
    scheme, spec = gathered.scheme, gathered.spec
    if scheme is None:
        return
    if strength(scheme) is Strength.OPEN and not spec.allow_unauthenticated:
        message = f"{scheme.name} proves nothing about the sender; say true if anybody may post"
        yield gathered.problem(Reason.UNAUTHENTICATED, "spec.allowUnauthenticated", message)
    wanted = spec.require_strength
    if wanted and _STRENGTHS.index(strength(scheme)) < _STRENGTHS.index(Strength(wanted)):
        message = f"{scheme.name} offers only {strength(scheme)}"
        yield gathered.problem(Reason.STRENGTH_TOO_WEAK, "spec.requireStrength", message)


def _tolerance_has_a_timestamp(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.scheme and gathered.spec.tolerance and not gathered.scheme.timestamp:
        message = f"{gathered.scheme.name} sends no timestamp to judge"
        yield gathered.problem(Reason.TOLERANCE_WITHOUT_TIMESTAMP, "spec.tolerance", message)


def _own_actors_can_be_known(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.scheme and gathered.spec.own_actors and not gathered.scheme.actor:
        message = f"events of {gathered.scheme.name} do not tell who caused them"
        yield gathered.problem(Reason.ACTOR_UNKNOWN, "spec.ownActors", message)


def _public_url_is_set(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.scheme and needs_public_url(gathered.scheme) and not gathered.spec.public_url:
        message = f"{gathered.scheme.name} signs the URL that it calls; set the one that is configured there"
        yield gathered.problem(Reason.PUBLIC_URL_MISSING, "spec.publicURL", message)


def _secrets_are_usable(gathered: _Gathered) -> Iterator[Problem]:
    scheme = gathered.scheme
    if scheme is None:
        return
    if not needs_secret(scheme):
        if gathered.secrets:
            message = f"{scheme.name} uses no secret"
            yield gathered.problem(Reason.SECRET_UNUSED, "spec.secretRefs", message, severity=Severity.WARNING)
        return
    if not gathered.secrets:
        message = f"{scheme.name} needs a secret to verify with"
        yield gathered.problem(Reason.SECRET_REF_MISSING, "spec.secretRefs", message)
    for found in gathered.secrets:
        yield from _lint_secret(gathered, scheme, found)


def _lint_secret(gathered: _Gathered, scheme: Scheme, found: _Found[Secret]) -> Iterator[Problem]:
    yield from gathered.absent(found)
    if isinstance(found.value, Secret) and (problem := lint_key(scheme, found.value.reveal())):
        severity = Severity.WARNING if problem.is_for_trials else Severity.ERROR
        yield gathered.problem(Reason(problem.reason.value), found.field, problem.message, severity=severity)


def _verify_token_is_usable(gathered: _Gathered) -> Iterator[Problem]:
    scheme, found = gathered.scheme, gathered.verify_token
    if scheme is None:
        return
    if not needs_verify_token(scheme):
        if found:
            message = f"{scheme.name} shows no token when it sets the webhook up"
            yield gathered.problem(Reason.SECRET_UNUSED, "spec.verifyTokenRef", message, severity=Severity.WARNING)
        return
    if found is None:
        message = f"{scheme.name} shows a token when it sets the webhook up; name a Secret's key with one of your own"
        yield gathered.problem(Reason.SECRET_REF_MISSING, "spec.verifyTokenRef", message)
        return
    yield from gathered.absent(found)
    if isinstance(found.value, Secret):
        others = [other.value.reveal() for other in gathered.secrets if isinstance(other.value, Secret)]
        problem = lint_verify_token(found.value.reveal(), others)
        if problem:
            yield gathered.problem(Reason(problem.reason.value), found.field, problem.message)


def _api_key_is_usable(gathered: _Gathered) -> Iterator[Problem]:
    if gathered.api_key:
        yield from _lint_text(gathered, gathered.api_key, "the API key")


def _lint_text(gathered: _Gathered, found: _Found[Secret], what: str) -> Iterator[Problem]:
    yield from gathered.absent(found)
    if isinstance(found.value, Secret):
        text = found.value.reveal()
        if not text.strip():
            yield gathered.problem(Reason.SECRET_EMPTY, found.field, f"{what} is empty")
        elif text != text.strip():
            message = f"{what} begins or ends with white space, often the newline of `echo`"
            yield gathered.problem(Reason.SECRET_HAS_WHITESPACE, found.field, message)


def _sinks_sign_with_secrets(gathered: _Gathered) -> Iterator[Problem]:
    for sink, secrets in zip(gathered.spec.sinks, gathered.sink_secrets, strict=True):
        for found in secrets if sink.http else ():
            yield from _lint_secret(gathered, SCHEMES["standard-webhooks"], found)


def _slack_knows_who_posts(gathered: _Gathered) -> Iterator[Problem]:
    for sink, secrets in zip(gathered.spec.sinks, gathered.sink_secrets, strict=True):
        for found in secrets if sink.slack else ():
            is_url = found.field.endswith("urlRef")
            problems = list(_lint_text(gathered, found, "the webhook's URL" if is_url else "the token"))
            yield from problems
            if isinstance(found.value, Secret) and not problems:
                form, meant = _SLACK_URL if is_url else _SLACK_TOKEN
                if not form.fullmatch(found.value.reveal()):
                    yield gathered.problem(Reason.SECRET_WRONG_TYPE, found.field, f"this is not {meant}")


def _slack_channels_are_known(gathered: _Gathered) -> Iterator[Problem]:
    provider = gathered.spec.provider
    for index, sink in enumerate(gathered.spec.sinks):
        if sink.slack and sink.slack.token_ref and not sink.slack.channel and provider != "slack":
            message = f"events of {provider} come from no channel of Slack; set channel to the id of one"
            yield gathered.problem(Reason.CHANNEL_MISSING, f"spec.sinks[{index}].slack.channel", message)


def _sinks_may_be_reached(gathered: _Gathered) -> Iterator[Problem]:
    known = gathered.at_hand.outbound
    rules = gathered.at_hand.policy.of(gathered.route.metadata.namespace).narrow(known or OutboundRules(mode="dev"))
    for field, url in _sink_urls(gathered):
        try:
            read_url(url, rules)
        except Blocked as blocked:
            severity = Severity.WARNING if known is None and blocked.rule is not Rule.HOST else Severity.ERROR
            yield gathered.problem(Reason.SINK_OUT_OF_REACH, field, str(blocked), severity=severity)


def _sink_urls(gathered: _Gathered) -> Iterator[tuple[str, str]]:
    for index, (sink, secrets) in enumerate(zip(gathered.spec.sinks, gathered.sink_secrets, strict=True)):
        if sink.http:
            yield f"spec.sinks[{index}].http.url", sink.http.url
        for found in secrets if sink.slack else ():
            if found.field.endswith("tokenRef"):
                yield found.field, SLACK
            elif isinstance(found.value, Secret) and _SLACK_URL[0].fullmatch(found.value.reveal()):
                yield found.field, found.value.reveal().decode()


def _expressions_compile(gathered: _Gathered) -> Iterator[Problem]:
    spec = gathered.spec
    expressions = {"spec.filter": spec.filter, "spec.entity": spec.entity}
    expressions |= {f"spec.prompts[{index}].when": prompt.when for index, prompt in enumerate(spec.prompts)}
    of_sinks = {f"spec.sinks[{index}].when": sink.when for index, sink in enumerate(spec.sinks)}
    for field, source in (expressions | of_sinks).items():
        if source is None:
            continue
        try:
            compile_expression(source, OF_ANSWERS if field in of_sinks else VARIABLES)
        except ExpressionRefused as refused:
            reason = Reason.UNKNOWN_VARIABLE if refused.unknown_variable else Reason.INVALID_EXPRESSION
            yield gathered.problem(reason, field, f"{refused} (column {refused.column})", line=refused.line)


def _system_texts_exist(gathered: _Gathered) -> Iterator[Problem]:
    for found in gathered.systems:
        yield from gathered.absent(found)
        if isinstance(found.value, str) and len(found.value) > crd.MAX_SYSTEM_LENGTH:
            message = f"the text has {len(found.value)} characters; at most {crd.MAX_SYSTEM_LENGTH} are allowed"
            yield gathered.problem(Reason.TEXT_TOO_LONG, found.field, message)


def _templates_compile(gathered: _Gathered) -> Iterator[Problem]:
    for found in gathered.users:
        yield from gathered.absent(found)
        if not isinstance(found.value, str):
            continue
        try:
            compile_template(found.value)
        except TemplateRefused as refused:
            reason = Reason.UNKNOWN_VARIABLE if refused.unknown_variable else Reason.INVALID_TEMPLATE
            yield gathered.problem(reason, found.field, f"{refused} (column {refused.column})", line=refused.line)


def _prompts_are_reachable(gathered: _Gathered) -> Iterator[Problem]:
    taken: dict[str, int] = {}
    for index, prompt in enumerate(gathered.spec.prompts):
        hidden_by = [
            next((at for earlier, at in taken.items() if covers(earlier, pattern)), None) for pattern in prompt.events
        ]
        if all(at is not None for at in hidden_by):
            message = (
                f"no event gets here: prompts[{max(at or 0 for at in hidden_by)}] and those before it take them all"
            )
            field = f"spec.prompts[{index}].events"
            yield gathered.problem(Reason.UNREACHABLE_PROMPT, field, message, severity=Severity.WARNING)
        if prompt.when is None:
            taken |= dict.fromkeys((pattern for pattern in prompt.events if pattern not in taken), index)


def _events_are_sent(gathered: _Gathered) -> Iterator[Problem]:
    provider = gathered.spec.provider
    known = gathered.at_hand.events.of(provider)
    for index, prompt in enumerate(gathered.spec.prompts if known else ()):
        for position, pattern in enumerate(prompt.events):
            if known and not known.sends(pattern):
                message = f'no event of {provider} known on {known.as_of} is called "{pattern}"{known.hint(pattern)}'
                field = f"spec.prompts[{index}].events[{position}]"
                yield gathered.problem(Reason.UNKNOWN_EVENT, field, message, severity=Severity.WARNING)


def _output_schemas_compile(gathered: _Gathered) -> Iterator[Problem]:
    for index, prompt in enumerate(gathered.spec.prompts):
        if prompt.output is None:
            continue
        try:
            AnswerSchema(prompt.output.json_schema)
        except SchemaRefused as refused:
            field = f"spec.prompts[{index}].output.schema{refused.path}"
            yield gathered.problem(Reason.INVALID_OUTPUT_SCHEMA, field, str(refused))


def _models_take_what_is_asked(gathered: _Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(problem for asked in gathered.asked for problem in _refused(gathered, asked))


def _refused(gathered: _Gathered, asked: _Asked) -> Iterator[Problem]:
    first = asked.first
    if isinstance(first.told, Refused):
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, f"{first.name} {first.told}")
    if first.model.max_output is not None and first.max_tokens > first.model.max_output:
        message = f"{first.name} answers in {first.model.max_output} tokens at most, not maxTokens {first.max_tokens}"
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, message)
    if asked.want.fallback == first.name:
        message = f"{first.name} cannot stand in for itself; name another fallback"
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, message)


def _policy_is_kept(gathered: _Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(
        problem
        for asked in gathered.asked
        for candidate in filter(None, (asked.first, asked.fallback))
        for problem in _violations(gathered, asked, candidate)
    )


def _violations(gathered: _Gathered, asked: _Asked, candidate: _Candidate) -> Iterator[Problem]:
    if isinstance(candidate.told, Refused):
        return
    allowance = gathered.at_hand.policy.of(gathered.route.metadata.namespace)
    for message in allowance.violations(
        name=candidate.name,
        model=candidate.model,
        max_tokens=candidate.max_tokens,
        effort=candidate.told.effort,
    ):
        yield gathered.problem(Reason.POLICY_VIOLATION, asked.field, message)


def _budgets_can_be_kept(gathered: _Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(
        problem
        for rule in _budgets(gathered)
        for asked in gathered.asked
        for candidate in filter(None, (asked.first, asked.fallback))
        for problem in (*_too_long(gathered, asked, candidate, rule), *_unpayable(gathered, asked, candidate, rule))
    )


def _too_long(gathered: _Gathered, asked: _Asked, candidate: _Candidate, rule: BudgetRule) -> Iterator[Problem]:
    """Say why a call cannot be made within a budget in tokens."""
    if rule.tokens is not None and candidate.max_tokens > rule.tokens:
        yield _too_small(gathered, asked, rule, f"an answer of {candidate.name} may have {candidate.max_tokens} tokens")


def _unpayable(gathered: _Gathered, asked: _Asked, candidate: _Candidate, rule: BudgetRule) -> Iterator[Problem]:
    """Say why a call cannot be made within a budget in US dollars."""
    if rule.micro_usd is None:
        return
    if not candidate.model.prices:
        message = (
            f"nobody knows what {candidate.name} costs, which the budget of {whose(rule.scope)} needs: put its prices "
            "into the installation's models file, or budget tokens"
        )
        yield gathered.problem(Reason.PRICE_UNKNOWN, asked.field, message)
        return
    least = min(band.output for band in candidate.model.prices) * candidate.max_tokens  # in millionths, as per million
    if least > rule.micro_usd:
        may = f"an answer of {candidate.name} may cost USD {least / 1_000_000:f} (maxTokens {candidate.max_tokens})"
        yield _too_small(gathered, asked, rule, may)


def _too_small(gathered: _Gathered, asked: _Asked, rule: BudgetRule, may: str) -> Problem:
    message = f"{may}, more than all of the budget of {whose(rule.scope)}: nothing would be asked"
    return gathered.problem(Reason.BUDGET_TOO_SMALL, asked.field, message, severity=Severity.WARNING)


def _models_will_answer(gathered: _Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(
        problem
        for asked in gathered.asked
        for candidate in filter(None, (asked.first, asked.fallback))
        for problem in _doubts(gathered, asked, candidate)
    )


def _doubts(gathered: _Gathered, asked: _Asked, candidate: _Candidate) -> Iterator[Problem]:
    name, model, today = candidate.name, candidate.model, gathered.at_hand.today

    def warning(reason: Reason, message: str) -> Problem:
        return gathered.problem(reason, asked.field, message, severity=Severity.WARNING)

    if gathered.at_hand.models.find(name) is None:
        unsent = "; thinking is not turned off" if asked.want.thinking == "off" else ""
        message = f"nothing is known of model {name}{unsent}{nearest(name, gathered.at_hand.models.names())}"
        yield warning(Reason.MODEL_UNKNOWN, message)
    if model.retires and today and model.retires <= today:
        is_needed = candidate is asked.first and asked.fallback is None
        waits = ": what needs it will wait" if is_needed else ""
        message = f"{name} answers no more since {model.retires}{waits}; name another model"
        severity = Severity.ERROR if is_needed else Severity.WARNING
        yield gathered.problem(Reason.MODEL_RETIRED, asked.field, message, severity=severity)
    elif model.retires and today:
        yield warning(Reason.MODEL_RETIRES, f"{name} answers no more from {model.retires} on; name another model")
    thinks = isinstance(candidate.told, Told) and candidate.told.thinks(model)
    if thinks and candidate.max_tokens < _ROOM_FOR_THINKING:
        message = (
            f"{name} thinks before it answers, which maxTokens {candidate.max_tokens} includes: it may use up all of "
            f"it and say nothing; leave {_ROOM_FOR_THINKING} or more"
        )
        yield warning(Reason.THINKING_UNBOUNDED, message)


def _caches_are_used(gathered: _Gathered) -> Iterator[Problem]:
    for asked, system in zip(gathered.asked, gathered.systems, strict=True):
        said = system.value if isinstance(system.value, str) else crd.DEFAULT_SYSTEM
        least = asked.first.model.shortest_cached
        if asked.want.cache in ("5m", "1h") and len(said.encode()) // _BYTES_PER_TOKEN < least:
            message = f"{asked.first.name} caches nothing shorter than {least} tokens, which the system text is"
            yield gathered.problem(Reason.CACHE_UNUSED, asked.field, message, severity=Severity.WARNING)


def _sinks_have_names_of_their_own(gathered: _Gathered) -> Iterator[Problem]:
    names = [sink_name(sink) for sink in gathered.spec.sinks]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f'sinks[{names.index(name)}] is called "{name}" too; give each a name of its own'
            yield gathered.problem(Reason.DUPLICATE_SINK, f"spec.sinks[{index}].name", message)


_CHECKS: Final[tuple[_Check, ...]] = (
    _path_is_free,
    _provider_is_known,
    _custom_scheme_is_sound,
    _signed_text_has_one_reading,
    _sender_is_authenticated,
    _tolerance_has_a_timestamp,
    _own_actors_can_be_known,
    _public_url_is_set,
    _secrets_are_usable,
    _verify_token_is_usable,
    _api_key_is_usable,
    _sinks_sign_with_secrets,
    _slack_knows_who_posts,
    _slack_channels_are_known,
    _sinks_may_be_reached,
    _expressions_compile,
    _system_texts_exist,
    _templates_compile,
    _prompts_are_reachable,
    _events_are_sent,
    _output_schemas_compile,
    _models_take_what_is_asked,
    _policy_is_kept,
    _budgets_can_be_kept,
    _models_will_answer,
    _caches_are_used,
    _sinks_have_names_of_their_own,
)


# --- table entries of a route without errors --------------------------------------------------------------------------


def _value(found: _Found[Value]) -> Value:
    if isinstance(found.value, _Absent):
        raise TypeError(f"{found.field} was not resolved")  # a route without errors has none such
    return found.value


def _receiver_route(gathered: _Gathered) -> ReceiverRoute:
    spec, scheme = gathered.spec, gathered.scheme
    if scheme is None:
        raise TypeError("unknown provider")  # the same
    limit = spec.rate_limit
    return ReceiverRoute(
        uid=gathered.uid,
        path=gathered.path,
        generation=gathered.route.metadata.generation,
        scheme=scheme,
        secrets=tuple(map(_value, gathered.secrets)) if needs_secret(scheme) else (),
        secret_names=tuple(f"{ref.name}/{ref.key}" for ref in spec.secret_refs) if needs_secret(scheme) else (),
        verify_token=_value(gathered.verify_token) if gathered.verify_token and needs_verify_token(scheme) else None,
        public_url=spec.public_url,
        suspend=spec.suspend.mode if spec.suspend else None,
        own_actors=spec.own_actors,
        max_hops=spec.max_hops,
        filter=spec.filter,
        max_body_bytes=spec.max_body_bytes or scheme.max_body_bytes,
        rate_limit=RateLimit(per_second=limit.per_second, burst=limit.burst) if limit else None,
        headers=_named_headers(gathered),
        redact=RedactRule(headers=tuple(name.lower() for name in spec.redact.headers), payload=spec.redact.payload),
        entity=spec.entity if spec.concurrency.per_entity or spec.debounce or spec.supersede else None,
        per_entity=spec.concurrency.per_entity is not None,
        debounce=DebounceRule(quiet_s=seconds(spec.debounce.quiet), max_s=seconds(spec.debounce.max))
        if spec.debounce
        else None,
        supersede=spec.supersede,
    )


def _named_headers(gathered: _Gathered) -> tuple[str, ...] | None:
    """Tell which headers a route looks at; None when it may be any."""
    spec = gathered.spec
    expressions = (spec.filter, spec.entity, *(prompt.when for prompt in spec.prompts))
    uses = [compile_expression(each).headers for each in expressions if each]
    uses += [compile_expression(sink.when, OF_ANSWERS).headers for sink in spec.sinks if sink.when]
    uses += [compile_template(text).headers for text in map(_value, gathered.users) if text]
    named: set[str] = set()
    for use in uses:
        if use is None:
            return None
        named |= use
    return tuple(sorted(named))


def _worker_route(gathered: _Gathered) -> WorkerRoute:
    spec = gathered.spec
    history = spec.history or (crd.History() if spec.entity else None)
    return WorkerRoute(
        uid=gathered.uid,
        path=gathered.path,
        generation=gathered.route.metadata.generation,
        is_suspended=spec.suspend is not None,
        provider=spec.provider,
        prompts=tuple(
            PromptRule(
                events=prompt.events,
                when=prompt.when,
                model=_model_call(asked),
                system=_value(system) or crd.DEFAULT_SYSTEM,
                user=_value(user),
                output_schema=prompt.output.json_schema if prompt.output else None,
            )
            for prompt, asked, system, user in zip(
                spec.prompts, gathered.asked, gathered.systems, gathered.users, strict=True
            )
        ),
        entity=spec.entity,
        history=HistoryRule(scope=history.scope, keep=history.keep, inject=history.inject, ttl_s=seconds(history.ttl))
        if history
        else None,
        retry=RetryRule(attempts=spec.retry.attempts, deadline_s=seconds(spec.retry.deadline)),
        retention=RetentionRule(
            payload_s=_seconds(spec.retention.payload),
            answer_s=_seconds(spec.retention.answer),
            record_s=_seconds(spec.retention.record),
        ),
        sinks=tuple(map(_sink, spec.sinks, gathered.sink_secrets)),
        max_running=spec.concurrency.max or 0,
        holds_lanes=spec.concurrency.on_dead == "hold",
        api_key=_value(gathered.api_key) if gathered.api_key else None,
        budgets=_budgets(gathered),
    )


def _model_call(asked: _Asked) -> ModelCall:
    timeout_s = float(seconds(asked.want.timeout))
    fallback = _call(asked.fallback, timeout_s, asked.want.cache) if asked.fallback else None
    return _call(asked.first, timeout_s, asked.want.cache, fallback)


def _call(candidate: _Candidate, timeout_s: float, cache: CacheRule, fallback: ModelCall | None = None) -> ModelCall:
    if isinstance(candidate.told, Refused):
        raise TypeError(f"{candidate.name} {candidate.told}")  # a route without errors has none such
    return ModelCall(
        name=candidate.name,
        max_tokens=candidate.max_tokens,
        timeout_s=timeout_s,
        thinking=candidate.told.thinking,
        effort=candidate.told.effort,
        cache=cache,
        cacheable_from=candidate.model.shortest_cached,
        fallback=fallback,
    )


def _budgets(gathered: _Gathered) -> tuple[BudgetRule, ...]:
    """List the budgets that a route's calls count in."""
    policy, namespace = gathered.at_hand.policy, gathered.route.metadata.namespace
    of_namespace = policy.namespaces.get(namespace)
    found = {
        gathered.path: gathered.spec.budget,
        namespace: of_namespace.budget if of_namespace else None,
        INSTALLATION: policy.budget,
    }
    return tuple(_budget(scope, budget) for scope, budget in found.items() if budget)


def _budget(scope: str, budget: crd.Budget) -> BudgetRule:
    return BudgetRule(
        scope=scope,
        period_s=seconds(budget.period),
        micro_usd=None if budget.usd is None else int(Decimal(budget.usd) * 1_000_000),
        tokens=budget.tokens,
        warn_at=budget.warn_at,
        on_exceeded=budget.on_exceeded,
    )


def _seconds(duration: str | None) -> int | None:
    return None if duration is None else seconds(duration)


def sink_name(sink: crd.Sink) -> str:
    """Name a sink: as the manifest does, or by kind and target."""
    if sink.name:
        return sink.name
    return f"stream-{sink.stream.name}" if sink.stream else "http" if sink.http else "slack" if sink.slack else "log"


def _sink(sink: crd.Sink, secrets: Sequence[_Found[Secret]]) -> Sink:
    name = sink_name(sink)
    if sink.stream:
        return StreamSink(name=name, when=sink.when, stream=sink.stream.name, max_entries=sink.stream.max_entries)
    if sink.http:
        return HttpSink(
            name=name,
            when=sink.when,
            url=sink.http.url,
            secrets=tuple(map(_value, secrets)),
            timeout_s=float(seconds(sink.http.timeout)),
        )
    if sink.slack:
        (found,) = secrets
        by: SlackWebhook | SlackApp = SlackWebhook(url=_value(found))
        if sink.slack.token_ref:
            by = SlackApp(token=_value(found), channel=sink.slack.channel)
        return SlackSink(name=name, when=sink.when, by=by)
    return LogSink(name=name, when=sink.when)
