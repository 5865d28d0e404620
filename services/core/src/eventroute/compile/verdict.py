"""What is said of a route: problems, each with its place in the manifest, and whether it is served."""

from enum import StrEnum
from typing import Final, NamedTuple

from eventroute.ids import RoutePath, RouteUid
from eventroute.schemes import SecretProblem

MAX_MESSAGE_LENGTH: Final = 256


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
    TARGET_MISSING = "TargetMissing"
    ENTITY_MISSING = "EntityMissing"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_TAKES_NO_ANSWERS = "TargetTakesNoAnswers"
    ROUTE_CYCLE = "RouteCycle"
    SINK_OUT_OF_REACH = "SinkOutOfReach"

    INVALID_OUTPUT_SCHEMA = "InvalidOutputSchema"
    INVALID_TOOL = "InvalidTool"
    DUPLICATE_TOOL = "DuplicateTool"
    TOOL_OUT_OF_REACH = "ToolOutOfReach"
    TOOL_UNGUARDED = "ToolUnguarded"
    MODEL_REFUSES = "ModelRefuses"
    MODEL_UNKNOWN = "ModelUnknown"
    MODEL_RETIRES = "ModelRetires"
    MODEL_RETIRED = "ModelRetired"
    THINKING_UNBOUNDED = "ThinkingUnbounded"
    CACHE_UNUSED = "CacheUnused"


class Side(StrEnum):
    """What of a route a problem is in the way of: each side has an entry of its own, in the table of one plane."""

    INTAKE = "intake"
    """Taking events: receivers."""
    WORK = "work"
    """Working on them: workers."""


_OF_WORK: Final = ("spec.prompts", "spec.model", "spec.sinks", "spec.budget", "spec.history")
_OF_BOTH: Final = ("metadata", "spec.entity")


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

    @property
    def sides(self) -> frozenset[Side]:
        """What it is in the way of."""
        if self.field.startswith(_OF_BOTH):
            return frozenset(Side)
        return frozenset({Side.WORK if self.field.startswith(_OF_WORK) else Side.INTAKE})


class Verdict(NamedTuple):
    """What became of one route."""

    path: RoutePath
    uid: RouteUid
    generation: int
    problems: tuple[Problem, ...]

    @property
    def is_served(self) -> bool:
        """Whether the route stands in both tables."""
        return all(map(self.serves, Side))

    def serves(self, side: Side) -> bool:
        """Tell whether it stands in the table of a side."""
        standing = (problem for problem in self.problems if problem.severity is not Severity.WARNING)
        return not any(side in problem.sides for problem in standing)

    def of(self, condition: Condition) -> tuple[Problem, ...]:
        """Pick the errors that make a condition false."""
        return tuple(
            problem
            for problem in self.problems
            if problem.condition is condition and problem.severity is Severity.ERROR
        )
