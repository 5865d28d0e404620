"""The status of an EventRoute: what the operator writes, and what each condition and reason means.

Everything here is bounded and stable: no payloads, no answers, no text of a provider. How conditions are computed is
the operator's business; which ones exist, and what a person does about them, is decided here.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from eventroute.crd.v1alpha1 import DataKey, ModelName, ObjectName

MAX_MESSAGE_LENGTH: Final = 256
"""Of a condition; a longer text would tempt to write what changes."""

Time = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC, whole seconds: `2026-01-31T12:00:00Z`."""
Generation = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]


class ConditionType(StrEnum):
    """What a condition is about, in the order in which they stand in the status."""

    ACCEPTED = "Accepted"
    SECRETS_RESOLVED = "SecretsResolved"
    PROMPTS_VALID = "PromptsValid"
    PROGRAMMED = "Programmed"
    WORKING = "Working"
    SCALING_READY = "ScalingReady"
    READY = "Ready"
    LAST_DELIVERY_SUCCEEDED = "LastDeliverySucceeded"


class StatusReason(StrEnum):
    """Reasons that the operator finds itself; those of invalid routes are `eventroute.compile.Reason`."""

    ACCEPTED = "Accepted"
    RESOLVED = "Resolved"
    VALID = "Valid"
    INVALID_SPEC = "InvalidSpec"
    PROGRAMMED = "Programmed"
    NOT_SERVED = "NotServed"
    NO_RECEIVERS = "NoReceivers"
    PROPAGATING = "Propagating"
    UNREADABLE = "Unreadable"
    REDIS_UNAVAILABLE = "RedisUnavailable"
    WORKING = "Working"
    KEY_REFUSED = "KeyRefused"
    KEY_UNPAID = "KeyUnpaid"
    MODEL_UNAVAILABLE = "ModelUnavailable"
    BUDGET_SPENT = "BudgetSpent"
    MODEL_RETIRES = "ModelRetires"
    HELD = "Held"
    SINK_GONE = "SinkGone"
    NOTHING_MATCHED = "NothingMatched"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"
    FIXED = "Fixed"
    AUTOSCALED = "Autoscaled"
    KEDA_NOT_INSTALLED = "KedaNotInstalled"
    AUTOSCALER_NOT_READY = "AutoscalerNotReady"
    READY = "Ready"
    QUEUED = "Queued"
    SUCCEEDED = "Succeeded"
    REFUSED = "Refused"
    TRUNCATED = "Truncated"
    NO_TEXT = "NoText"
    DISCARDED = "Discarded"
    SUPERSEDED = "Superseded"
    DEAD = "Dead"


class _Part(BaseModel):
    """Frozen; names are camelCase in the status. Unknown fields are let through: an older operator may read them."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, alias_generator=to_camel, populate_by_name=True)


class StatusCondition(_Part):
    """One aspect of the route, as Kubernetes writes conditions."""

    type: str = Field(max_length=64, description="What the condition is about.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: str = Field(
        max_length=64, pattern=r"^[A-Za-z]+$", description="Why, as one stable word; all are listed in the reference."
    )
    message: str = Field(max_length=MAX_MESSAGE_LENGTH, description="The same for people.")
    last_transition_time: Time = Field(description="When the condition's status last changed.")
    observed_generation: Generation | None = Field(default=None, description="Generation of the spec that was judged.")


class SecretStatus(_Part):
    """One Secret key that deliveries are verified with."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: DataKey = Field(description="Key in the Secret's data.")
    revision: str | None = Field(
        default=None,
        max_length=64,
        description="Changes with the Secret; made of its uid and resourceVersion, not of its values.",
    )
    last_matched: Time | None = Field(default=None, description="When a delivery was last verified with it.")


class ProgrammedStatus(_Part):
    """Which generation is served."""

    receiver: Generation | None = Field(default=None, description="Generation that every live receiver serves.")
    worker: Generation | None = Field(default=None, description="Generation that every live worker runs.")


class LastDeliveryStatus(_Part):
    """The newest accepted delivery, or the newest that ended."""

    time: Time = Field(description="When it was accepted, or when it ended.")
    outcome: str = Field(max_length=64, description="How far it came: `queued`, or how it ended.")
    delivery: str | None = Field(default=None, max_length=64, description="Its id.")
    trace_id: str | None = Field(
        default=None, max_length=32, alias="traceId", description="Trace from receipt to sinks."
    )


class CountsStatus(_Part):
    """Deliveries since the counters in Redis began, written at most every 30 s."""

    accepted: Count | None = Field(default=None, description="Queued.")
    duplicate: Count | None = Field(default=None, description="Recognized as seen before.")
    filtered: Count | None = Field(
        default=None, description="Left out by `filter`, as our own action, or while suspended."
    )
    refused: Count | None = Field(default=None, description="Not authenticated, malformed, too large or too many.")
    succeeded: Count | None = Field(default=None, description="Answered, and the answer delivered.")
    dead: Count | None = Field(
        default=None, description="Given up, or undecided by `filter`; they are kept as dead letters."
    )


class EventRouteStatus(_Part):
    """What the operator observed; written by it alone."""

    observed_generation: Generation | None = Field(
        default=None, description="Generation of the spec that this status is about."
    )
    conditions: tuple[StatusCondition, ...] = Field(
        default=(),
        max_length=16,
        description="What holds and what does not, one entry per type.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    path: str | None = Field(default=None, max_length=512, description="Where deliveries are received, below the host.")
    url: str | None = Field(default=None, max_length=2048, description="The same with the host, when it is configured.")
    model: ModelName | None = Field(default=None, description="Model that answers by default.")
    secrets: tuple[SecretStatus, ...] = Field(
        default=(), max_length=4, description="Secrets to verify with, in the order of the spec."
    )
    programmed: ProgrammedStatus | None = Field(default=None, description="Which generation is served.")
    last_delivery: LastDeliveryStatus | None = Field(
        default=None, description="The newest delivery, written at most every 30 s."
    )
    counts: CountsStatus | None = Field(default=None, description="What became of deliveries.")


class ReasonPage(NamedTuple):
    """What a person should know about a reason."""

    status: str
    """Which status of its conditions it explains; "-" for a warning, which changes no condition."""
    conditions: tuple[ConditionType, ...]
    meaning: str
    remedy: str


_ACCEPTED: Final = (ConditionType.ACCEPTED,)
_SECRETS: Final = (ConditionType.SECRETS_RESOLVED,)
_PROMPTS: Final = (ConditionType.PROMPTS_VALID,)
_EITHER: Final = (ConditionType.ACCEPTED, ConditionType.PROMPTS_VALID)
_PROGRAMMED: Final = (ConditionType.PROGRAMMED,)
_WORKING: Final = (ConditionType.WORKING,)
_SCALING: Final = (ConditionType.SCALING_READY,)
_LAST: Final = (ConditionType.LAST_DELIVERY_SUCCEEDED,)
_NOTHING: Final = "Nothing."

CONDITIONS: Final[Mapping[ConditionType, str]] = {
    ConditionType.ACCEPTED: "The spec can be served as far as it can be judged by itself, and the path is free.",
    ConditionType.SECRETS_RESOLVED: "Every Secret that the route names exists and holds a usable value.",
    ConditionType.PROMPTS_VALID: "Expressions and templates of the prompts compile, and their ConfigMaps exist.",
    ConditionType.PROGRAMMED: "Every live receiver and worker runs this generation; having no worker is no failure.",
    ConditionType.WORKING: "Nothing stands in the way of the route's events; else they wait until it is mended, or "
    "none of them is for Claude.",
    ConditionType.SCALING_READY: "The number of workers follows the load, where that is configured.",
    ConditionType.READY: "The first three and Programmed hold; else it tells the first that does not.",
    ConditionType.LAST_DELIVERY_SUCCEEDED: "How the newest delivery ended; absent until there was one. Informational.",
}

REASONS: Final[Mapping[str, ReasonPage]] = {
    "Accepted": ReasonPage("True", _ACCEPTED, "The spec is in order.", _NOTHING),
    "InvalidSpec": ReasonPage(
        "False",
        _ACCEPTED,
        "The object does not fit the operator's version of the resource.",
        "Mend the named field, or bring CRD and operator to one version.",
    ),
    "DuplicatePath": ReasonPage(
        "False", _ACCEPTED, "An older route has the same path.", "Delete or rename one of the two."
    ),
    "UnknownProvider": ReasonPage(
        "False", _ACCEPTED, "No row of the scheme table has this name.", "Correct it, or declare `custom`."
    ),
    "InvalidScheme": ReasonPage(
        "False",
        _ACCEPTED,
        "The declared custom scheme contradicts itself or cannot be safe.",
        "Do as the message says.",
    ),
    "SignedTextAmbiguous": ReasonPage(
        "-",
        _ACCEPTED,
        "Parts of the signed text can lend each other bytes: what is captured runs once, but may read otherwise.",
        "Sign a text between them that cannot occur in either, if the provider is yours.",
    ),
    "UnauthenticatedNotAllowed": ReasonPage(
        "False",
        _ACCEPTED,
        "The scheme proves nothing about the sender.",
        "Choose one with a secret, or say `allowUnauthenticated: true` if anybody may post.",
    ),
    "StrengthTooWeak": ReasonPage(
        "False",
        _ACCEPTED,
        "The scheme offers less than `requireStrength` asks for.",
        "Choose a signing scheme of the provider, or ask for less.",
    ),
    "ToleranceWithoutTimestamp": ReasonPage(
        "False", _ACCEPTED, "The scheme sends no timestamp that could be judged.", "Remove `tolerance`."
    ),
    "ActorUnknown": ReasonPage(
        "False",
        _ACCEPTED,
        "Events of the provider do not tell who caused them, by which `ownActors` are known.",
        "Remove `ownActors`, or name `custom.actor`.",
    ),
    "PublicURLMissing": ReasonPage(
        "False", _ACCEPTED, "The provider signs the URL that it calls.", "Set `publicURL` to the one configured there."
    ),
    "DuplicateSink": ReasonPage(
        "False", _ACCEPTED, "Two sinks have the same name, by which an answer is sent once.", "Give one another name."
    ),
    "ChannelMissing": ReasonPage(
        "False",
        _ACCEPTED,
        "A `slack` sink answers where it was asked, and events of this provider come from no channel of Slack.",
        "Set `channel` to the id of one.",
    ),
    "TargetMissing": ReasonPage(
        "False",
        _ACCEPTED,
        "A `github` sink writes where the event is from, and events of this provider are from nowhere at GitHub.",
        "Set `repository` and `number`, which only `comment` and `labels` take.",
    ),
    "EntityMissing": ReasonPage(
        "False", _ACCEPTED, "A `slack` sink keeps a message for each entity, and the route names none.", "Set `entity`."
    ),
    "TargetNotFound": ReasonPage(
        "False",
        _ACCEPTED,
        "A `route` sink names a route that its namespace does not have.",
        "Create that route, or mend the name; all goes on by itself then.",
    ),
    "TargetTakesNoAnswers": ReasonPage(
        "False",
        _ACCEPTED,
        "A `route` sink names a route whose events come from elsewhere.",
        "Name a route whose `provider` is `eventroute`.",
    ),
    "RouteCycle": ReasonPage(
        "False",
        _ACCEPTED,
        "The `route` sinks of some routes lead back to the first of them, so that answers would go round for ever.",
        "Take one of the sinks away that the message lists.",
    ),
    "SinkOutOfReach": ReasonPage(
        "False",
        _ACCEPTED,
        "The platform does not let answers go to the URL that a sink names.",
        "Mend the URL as the message says, or ask the platform's owner for it (the chart's `outbound`, and "
        "`operator.policy.allowedHosts`).",
    ),
    "PriceUnknown": ReasonPage(
        "False",
        _EITHER,
        "A budget in US dollars counts calls of a model whose price nobody knows.",
        "Put its prices into the installation's models file (`modelsConfigMap`), or budget tokens.",
    ),
    "BudgetTooSmall": ReasonPage(
        "False",
        _EITHER,
        "An answer of full length may cost more than a whole budget, so that nothing would be asked: a warning.",
        "Raise the budget, or lower `maxTokens`.",
    ),
    "PolicyViolation": ReasonPage(
        "False",
        _EITHER,
        "The route asks for a model, an answer's length or an effort that the platform's owner does not allow.",
        "Ask for what the message names, or have the installation's `operator.policy` changed.",
    ),
    "InvalidExpression": ReasonPage(
        "False", _EITHER, "A CEL expression does not compile.", "Mend it at the line and column in the message."
    ),
    "UnknownVariable": ReasonPage(
        "False", _EITHER, "An expression or template names a variable that does not exist.", "Use one that does."
    ),
    "Resolved": ReasonPage("True", _SECRETS, "All Secrets are there and usable, or none is needed.", _NOTHING),
    "SecretRefMissing": ReasonPage(
        "False",
        _SECRETS,
        "The scheme needs a secret, or a verify token, and the route names none.",
        "Add `secretRefs` or `verifyTokenRef`, as the message says.",
    ),
    "SecretUnused": ReasonPage("-", _SECRETS, "The scheme has no use for a secret that the route names.", "Remove it."),
    "SecretNotFound": ReasonPage(
        "False",
        _SECRETS,
        "There is no such Secret in the route's namespace.",
        "Create it, with the labels of `operator.secretLabels` where they are set; the route follows by itself.",
    ),
    "SecretKeyNotFound": ReasonPage("False", _SECRETS, "The Secret has no such key.", "Add the key, or name another."),
    "SecretEmpty": ReasonPage("False", _SECRETS, "The value is empty.", "Store the provider's secret in it."),
    "SecretHasWhitespace": ReasonPage(
        "False",
        _SECRETS,
        "The value begins or ends with white space, often the newline of `echo`.",
        "Store it without, for example by `printf %s`.",
    ),
    "SecretPubliclyKnown": ReasonPage(
        "False", _SECRETS, "The value stands in public documentation.", "Make a new secret at the provider."
    ),
    "SecretUndecodable": ReasonPage(
        "False", _SECRETS, "The value is not encoded as the scheme's keys are.", "Store it as the provider shows it."
    ),
    "SecretWrongType": ReasonPage(
        "False", _SECRETS, "The value is a credential of another kind.", "Store what the message names."
    ),
    "SecretTooShort": ReasonPage(
        "False", _SECRETS, "The value can be guessed.", "Make a longer secret, at random, on both sides."
    ),
    "Valid": ReasonPage("True", _PROMPTS, "Everything that the prompts consist of is in order.", _NOTHING),
    "InvalidTemplate": ReasonPage(
        "False", _PROMPTS, "A template does not parse.", "Mend it at the line and column in the message."
    ),
    "ConfigMapNotFound": ReasonPage(
        "False", _PROMPTS, "There is no such ConfigMap in the namespace.", "Create it; the route follows by itself."
    ),
    "ConfigMapKeyNotFound": ReasonPage(
        "False", _PROMPTS, "The ConfigMap has no such key.", "Add the key, or name another."
    ),
    "TextTooLong": ReasonPage("False", _PROMPTS, "A text from a ConfigMap is over the limit.", "Shorten it."),
    "UnreachablePrompt": ReasonPage(
        "-", _PROMPTS, "Earlier prompts take all events of this one.", "Put the more special prompt first."
    ),
    "UnknownEvent": ReasonPage(
        "-",
        _PROMPTS,
        "`eventroute lint` alone: the provider is not known to send such an event, so nothing would get there.",
        "Take the name that the message proposes; if the provider is newer than our list, leave it.",
    ),
    "InvalidOutputSchema": ReasonPage(
        "False",
        _PROMPTS,
        "The API would refuse the schema of the answer.",
        "Mend the keyword that the message names; what the API does not support can be said in a description.",
    ),
    "InvalidTool": ReasonPage(
        "False",
        _PROMPTS,
        "A tool's schema, URL or header cannot be used.",
        "Mend the field that the message names; in a URL only arguments that `input` requires have places.",
    ),
    "DuplicateTool": ReasonPage(
        "False", _PROMPTS, "Two tools of a prompt have the same name.", "Give each a name of its own."
    ),
    "ToolOutOfReach": ReasonPage(
        "-",
        _PROMPTS,
        "A tool leads where nothing may be sent to; where that is not known for sure it is a warning.",
        "Name a service that may be reached, or let the installation's `outbound` rules allow this one.",
    ),
    "ToolUnguarded": ReasonPage(
        "-",
        _PROMPTS,
        "A tool changes something, and any event may talk Claude into using it.",
        "Say in its `when` whose events may, or `sideEffect: false` where nothing changes.",
    ),
    "ModelRefuses": ReasonPage(
        "False",
        _EITHER,
        "The model does not take this way of thinking, this effort or so long an answer.",
        "The message says what it takes.",
    ),
    "ModelUnknown": ReasonPage(
        "-",
        _EITHER,
        "Nothing is known of a model of this name, so nothing is sent of thinking.",
        "Check its spelling, or tell of it in the installation's own `models.json`.",
    ),
    "ModelRetires": ReasonPage(
        "True",
        (*_EITHER, *_WORKING),
        "A model of the route goes away; until then its deliveries are answered.",
        "Name another model before the day in the message.",
    ),
    "ModelRetired": ReasonPage(
        "False",
        _EITHER,
        "The model answers no more, so deliveries wait.",
        "Name another model; they go on by themselves.",
    ),
    "CacheUnused": ReasonPage(
        "-",
        _EITHER,
        "The system text is too short for this model to cache.",
        "Leave `cache` out; it is decided by itself then.",
    ),
    "ThinkingUnbounded": ReasonPage(
        "-",
        _EITHER,
        "The model thinks, and `maxTokens`, which includes that, is so small that no text may be left.",
        "Raise `maxTokens`, or turn thinking off where the model allows it.",
    ),
    "Programmed": ReasonPage("True", _PROGRAMMED, "Every live receiver and worker runs this generation.", _NOTHING),
    "NotServed": ReasonPage(
        "False",
        _PROGRAMMED,
        "Another condition is false. As long as that concerns intake, senders are told to come back; as long as it "
        "concerns work, what is queued waits.",
        "Look at that condition.",
    ),
    "NoReceivers": ReasonPage(
        "False", _PROGRAMMED, "No receiver is alive.", "Look at the receiver's pods and their logs."
    ),
    "Propagating": ReasonPage(
        "False", _PROGRAMMED, "Not every live process runs this generation yet.", "Wait some seconds."
    ),
    "Unreadable": ReasonPage(
        "False",
        _PROGRAMMED,
        "A process cannot read the published route.",
        "Bring programs to one version, and compare their table keys with the operator's.",
    ),
    "RedisUnavailable": ReasonPage(
        "False", _PROGRAMMED, "The operator cannot reach Redis.", "Mend Redis; publishing goes on by itself."
    ),
    "Working": ReasonPage("True", _WORKING, "No delivery waits for something to be mended.", _NOTHING),
    "KeyRefused": ReasonPage(
        "False",
        _WORKING,
        "Claude's API refuses the key; deliveries wait.",
        "Store a valid key in the Secret; a worker tries again once a minute, and at once with another key.",
    ),
    "KeyUnpaid": ReasonPage(
        "False",
        _WORKING,
        "The account of the key is over its spend limit or without credit; deliveries wait.",
        "Raise the limit or pay, or store another key; a worker tries again once a minute.",
    ),
    "ModelUnavailable": ReasonPage(
        "False",
        _WORKING,
        "The key may not use a model of the route, or the model does not exist (any more); deliveries wait.",
        "Name another model, or let the key use this one.",
    ),
    "BudgetSpent": ReasonPage(
        "False",
        _WORKING,
        "What is left of a budget, of the route, its namespace or the installation, is less than the next call may "
        "cost; deliveries wait.",
        "Wait for the end of the period, or raise the budget; `eventroute budget` shows all of them.",
    ),
    "Held": ReasonPage(
        "False",
        _WORKING,
        "The workers cannot serve the route; deliveries wait until they can.",
        "Look at the conditions that are false.",
    ),
    "SinkGone": ReasonPage(
        "False",
        _WORKING,
        "A service that answers go to wants no more of them (HTTP 410); what is for it waits, other sinks do not.",
        "Remove the sink, or mend its URL; any edit of the route lets it be tried once more.",
    ),
    "NothingMatched": ReasonPage(
        "False",
        _WORKING,
        "The route answers with success, and an hour after its first event Claude has been asked about none: all are "
        "of types that no prompt names, filtered, or our own actions.",
        "Mend the fields that the message names; `eventroute explain` tells of one event that was queued. It ends "
        "with the first event that has a prompt, and begins anew when the spec changes.",
    ),
    "Suspended": ReasonPage(
        "False",
        _WORKING,
        "The route's `suspend` lets nothing start; what is queued waits, in order.",
        "Remove `suspend`; all goes on by itself.",
    ),
    "Stopped": ReasonPage(
        "False",
        _WORKING,
        "Somebody has stopped the installation with `eventroute stop`; deliveries are accepted, and wait.",
        "`eventroute start` once it may go on.",
    ),
    "Fixed": ReasonPage("True", _SCALING, "No autoscaling is configured.", _NOTHING),
    "Autoscaled": ReasonPage("True", _SCALING, "The autoscaler is at work.", _NOTHING),
    "KedaNotInstalled": ReasonPage(
        "False", _SCALING, "KEDA's resources do not exist in this cluster.", "Install KEDA, or choose another mode."
    ),
    "AutoscalerNotReady": ReasonPage(
        "False",
        _SCALING,
        "A ScaledObject or HorizontalPodAutoscaler is missing, or says that it cannot scale.",
        "Look at `kubectl describe` of it; without a metrics server it gets no CPU figures.",
    ),
    "Ready": ReasonPage("True", (ConditionType.READY,), "The route is served as it is written.", _NOTHING),
    "Queued": ReasonPage("Unknown", _LAST, "The newest delivery has not ended yet.", "Wait; then look at the workers."),
    "Succeeded": ReasonPage("True", _LAST, "Claude answered, and every sink has the answer.", _NOTHING),
    "Refused": ReasonPage("False", _LAST, "The model declined to answer.", "Look at prompt and payload."),
    "NoText": ReasonPage(
        "False",
        _LAST,
        "The answer, though paid for, holds no text; often thinking used up `maxTokens`.",
        "Raise the limit, or turn thinking off or its effort down; `eventroute explain` says what there was.",
    ),
    "Truncated": ReasonPage("False", _LAST, "The answer reached `maxTokens`.", "Raise the limit or ask for less."),
    "Discarded": ReasonPage("True", _LAST, "There was nothing to do: no prompt was for the event.", _NOTHING),
    "Superseded": ReasonPage(
        "True", _LAST, "A newer event about the same entity came before this one was answered.", _NOTHING
    ),
    "Dead": ReasonPage(
        "False",
        _LAST,
        "The delivery was given up, and is kept as a dead letter.",
        "`eventroute explain ID` says why and what to do; once that is mended, `eventroute dead replay ID`.",
    ),
}
"""Every reason of every condition, in the order of the conditions."""
