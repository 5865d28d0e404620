"""What the checks look at: one route, and all that it refers to."""

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

from eventroute.compile.scheme import scheme_of
from eventroute.compile.verdict import MAX_MESSAGE_LENGTH, Condition, Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.objects import ObjectKey
from eventroute.errors import Refused
from eventroute.event_names import EventNames
from eventroute.ids import RoutePath, RouteUid, route_path
from eventroute.models import Model, Models, Told, tell, tell_nearest
from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.schemes import Scheme
from eventroute.secret import Secret
from eventroute.suggest import nearest

Secrets = Mapping[ObjectKey, Mapping[str, Secret]]
ConfigMaps = Mapping[ObjectKey, Mapping[str, str]]
Value = TypeVar("Value")
Reference = crd.SecretKeyRef | crd.ConfigMapKeyRef

_LOCAL_UIDS: Final = uuid.UUID("5f0e3a52-3c5d-5d7e-9b52-6f2a6f0a7f11")
"""Namespace of the uids that routes without an API server get; random, and never to be changed."""


class Absent(NamedTuple):
    """Why a reference leads nowhere."""

    reason: Reason
    severity: Severity
    message: str


@dataclass(frozen=True, slots=True)
class Found(Generic[Value]):
    """What a field says, itself or by reference."""

    field: str
    value: Value | Absent


@dataclass(frozen=True, slots=True)
class Shelf(Generic[Value]):
    """All objects of a kind that are at hand."""

    kind: str
    objects: Mapping[ObjectKey, Mapping[str, Value]]
    no_object: Reason
    no_key: Reason
    complete: bool

    def find(self, name: ObjectKey, key: str) -> Value | Absent:
        """Find what an object has under a key, or say why there is nothing."""
        data = self.objects.get(name)
        if data is None and not self.complete:
            return Absent(self.no_object, Severity.NOTE, f'{self.kind} "{name.name}" was not looked at')
        if data is None:
            hint = nearest(name.name, [other.name for other in self.objects if other.namespace == name.namespace])
            message = f'there is no {self.kind} "{name.name}" in {name.namespace}{hint}'
            return Absent(self.no_object, Severity.ERROR, message)
        if key not in data:
            message = f'{self.kind} "{name.name}" has no key "{key}"{nearest(key, list(data))}'
            return Absent(self.no_key, Severity.ERROR, message)
        return data[key]


@dataclass(frozen=True, slots=True)
class AtHand:
    """What routes refer to."""

    secrets: Shelf[Secret]
    texts: Shelf[str]
    models: Models
    today: dt.date | None
    policy: Policy
    events: EventNames
    outbound: OutboundRules | None
    routes: Mapping[RoutePath, crd.EventRoute | None]
    """All that there are in the namespaces of those that are judged; None = it cannot be understood."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that may be asked."""

    name: str
    model: Model
    """What is known of it."""
    max_tokens: int
    told: Told | Refused
    """What is sent, or why the model does not take it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt wants of which model."""

    field: str
    """Where most of it stands: the route's model, or the prompt's."""
    want: crd.Model
    """The route's, with what the prompt changes."""
    first: Candidate
    fallback: Candidate | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """One route and all that it refers to."""

    path: RoutePath
    uid: RouteUid
    is_taken: bool
    route: crd.EventRoute
    scheme: Scheme | None
    """None when nobody knows the provider."""
    secrets: tuple[Found[Secret], ...]
    verify_token: Found[Secret] | None
    api_key: Found[Secret] | None
    systems: tuple[Found[str | None], ...]
    """One per prompt, as `users`; None = the default text."""
    users: tuple[Found[str | None], ...]
    asked: tuple[Asked, ...]
    """The same."""
    sink_secrets: tuple[Mapping[str, Found[Secret]], ...]
    """Those that each sink refers to, by the field that does, `http.secretRefs[0]`."""
    tool_secrets: Mapping[str, Found[Secret]]
    """Those that tools refer to, by the field of the whole manifest that does."""
    at_hand: AtHand

    @property
    def spec(self) -> crd.EventRouteSpec:
        """What is wanted."""
        return self.route.spec

    def problem(
        self, reason: Reason, field: str, message: str, *, line: int = 0, severity: Severity = Severity.ERROR
    ) -> Problem:
        """Say what is wrong with a field, in a sentence that names the route and the field."""
        place = f"{field.removeprefix('spec.')}, line {line}" if line else field.removeprefix("spec.")
        text = f"route {self.path}: {place}: {message}"
        if len(text) > MAX_MESSAGE_LENGTH:
            text = text[: MAX_MESSAGE_LENGTH - 1] + "…"
        return Problem(_condition(reason, field), severity, reason, field, line, text)

    def absent(self, found: Found[Value]) -> Iterator[Problem]:
        """Say so where a reference leads nowhere."""
        if isinstance(found.value, Absent):
            yield self.problem(found.value.reason, found.field, found.value.message, severity=found.value.severity)


def _condition(reason: Reason, field: str) -> Condition:
    if reason.startswith("Secret"):
        return Condition.SECRETS_RESOLVED
    return Condition.PROMPTS_VALID if field.startswith("spec.prompts") else Condition.ACCEPTED


def gather(route: crd.EventRoute, at_hand: AtHand, taken: Collection[RoutePath]) -> Gathered:
    """Look up all that a route refers to.

    taken  the paths of older routes
    """
    namespace, spec = route.metadata.namespace, route.spec
    path = route_path(namespace, route.metadata.name)

    def secret(field: str, ref: crd.SecretKeyRef) -> Found[Secret]:
        return Found(field, at_hand.secrets.find(ObjectKey(namespace, ref.name), ref.key))

    def text(field: str, inline: str | None, ref: crd.ConfigMapKeyRef | None) -> Found[str | None]:
        if ref is None:
            return Found(field, inline)
        return Found(f"{field}From", at_hand.texts.find(ObjectKey(namespace, ref.name), ref.key))

    prompts = {f"spec.prompts[{index}]": prompt for index, prompt in enumerate(spec.prompts)}
    token_ref, key_ref = spec.verify_token_ref, spec.model.api_key_ref
    return Gathered(
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
            {
                within: secret(f"spec.sinks[{index}].{within}", ref)
                for within, ref in placed_references(sink)
                if isinstance(ref, crd.SecretKeyRef)
            }
            for index, sink in enumerate(spec.sinks)
        ),
        tool_secrets={
            f"{field}.tools[{index}].{within}": secret(f"{field}.tools[{index}].{within}", ref)
            for field, prompt in prompts.items()
            for index, tool in enumerate(prompt.tools)
            for within, ref in placed_references(tool)
            if isinstance(ref, crd.SecretKeyRef)
        },
        at_hand=at_hand,
    )


def _ask(routes: crd.Model, own: crd.PromptModel, field: str, models: Models) -> Asked:
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
    return Asked(
        field if changes else "spec.model",
        want,
        Candidate(want.name, model, want.max_tokens, told),
        _stand_in(want, want.fallback, models) if want.fallback else None,
    )


def _stand_in(want: crd.Model, name: str, models: Models) -> Candidate:
    model = models.find(name) or Model()
    told = tell_nearest(model, thinking=want.thinking, effort=want.effort)
    return Candidate(name, model, min(want.max_tokens, model.max_output or want.max_tokens), told)


def references(spec: crd.EventRouteSpec) -> frozenset[Reference]:
    """Find every reference in a spec, wherever it stands, so that no field can be forgotten by who follows them."""
    return frozenset(ref for _, ref in placed_references(spec))


def placed_references(value: object, field: str = "") -> Iterator[tuple[str, Reference]]:
    """Find the same in a part of a spec, each with the field that it stands in, `http.secretRefs[0]`."""
    if isinstance(value, crd.SecretKeyRef | crd.ConfigMapKeyRef):
        yield field, value
    elif isinstance(value, crd.Strict):
        for name, about in type(value).model_fields.items():
            yield from placed_references(getattr(value, name), f"{field}.{about.alias}" if field else str(about.alias))
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from placed_references(each, f"{field}[{index}]")


def value_of(found: Found[Value]) -> Value:
    """Take what was found for a route without errors, in which nothing is absent."""
    if isinstance(found.value, Absent):
        raise TypeError(f"{found.field} was not resolved")
    return found.value
