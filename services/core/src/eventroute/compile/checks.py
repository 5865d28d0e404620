"""What is judged of a route; each check looks at one thing."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Final

from eventroute.answer_schema import AnswerSchema, SchemaRefused
from eventroute.compile.budgets import list_budgets
from eventroute.compile.gathered import Asked, Candidate, Gathered
from eventroute.compile.scheme import CUSTOM
from eventroute.compile.secrets import lint_secret, lint_text
from eventroute.compile.sinks import judged_sinks, sink_name
from eventroute.compile.tools import check_tools, placed_tools
from eventroute.compile.verdict import Problem, Reason, Severity
from eventroute.crd import v1alpha1 as crd
from eventroute.errors import Refused
from eventroute.expression import OF_ANSWERS, VARIABLES, ExpressionRefused, compile_expression
from eventroute.match import covers
from eventroute.models import Told
from eventroute.outbound import Blocked, OutboundRules, Rule, check_database, parse_database, read_url
from eventroute.route_table import BudgetRule, whose
from eventroute.schemes import (
    INSIDE,
    SCHEMES,
    Strength,
    lending,
    lint_scheme,
    lint_verify_token,
    needs_public_url,
    needs_secret,
    needs_verify_token,
    strength,
)
from eventroute.secret import Secret
from eventroute.suggest import nearest
from eventroute.template import VARIABLES as PROMPT_VARIABLES
from eventroute.template import TemplateRefused, compile_template
from eventroute.tool_url import ToolUrlRefused

_BYTES_PER_TOKEN: Final = 4  # of English, about
_ROOM_FOR_THINKING: Final = 4096
"""Tokens that a short answer and the thinking before it rarely exceed at low effort. Arbitrary."""
_STRENGTHS: Final = (Strength.OPEN, Strength.AUTHENTICATED, Strength.VERIFIED)

Check = Callable[[Gathered], Iterator[Problem]]


def _path_is_free(gathered: Gathered) -> Iterator[Problem]:
    if gathered.is_taken:
        message = "an older route has the same namespace and name, and keeps the path"
        yield gathered.problem(Reason.DUPLICATE_PATH, "metadata.name", message)


def _provider_is_known(gathered: Gathered) -> Iterator[Problem]:
    if gathered.scheme is None:
        provider = gathered.spec.provider
        message = f'unknown provider "{provider}"{nearest(provider, [*SCHEMES, INSIDE.name, CUSTOM])}'
        yield gathered.problem(Reason.UNKNOWN_PROVIDER, "spec.provider", message)


def _custom_scheme_is_sound(gathered: Gathered) -> Iterator[Problem]:
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


def _signed_text_has_one_reading(gathered: Gathered) -> Iterator[Problem]:
    found = lending(gathered.scheme) if gathered.scheme and gathered.spec.custom else None
    if found:
        message = (
            f"{found[0]} and {found[1]} stand side by side, so that bytes of one can pass for the other's: a captured "
            "request runs once, but may say something else"
        )
        yield gathered.problem(Reason.SIGNED_TEXT_AMBIGUOUS, "spec.custom.signed", message, severity=Severity.WARNING)


def _sender_is_authenticated(gathered: Gathered) -> Iterator[Problem]:
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


def _tolerance_has_a_timestamp(gathered: Gathered) -> Iterator[Problem]:
    if gathered.scheme and gathered.spec.tolerance and not gathered.scheme.timestamp:
        message = f"{gathered.scheme.name} sends no timestamp to judge"
        yield gathered.problem(Reason.TOLERANCE_WITHOUT_TIMESTAMP, "spec.tolerance", message)


def _own_actors_can_be_known(gathered: Gathered) -> Iterator[Problem]:
    if gathered.scheme and gathered.spec.own_actors and not gathered.scheme.actor:
        message = f"events of {gathered.scheme.name} do not tell who caused them"
        yield gathered.problem(Reason.ACTOR_UNKNOWN, "spec.ownActors", message)


def _public_url_is_set(gathered: Gathered) -> Iterator[Problem]:
    if gathered.scheme and needs_public_url(gathered.scheme) and not gathered.spec.public_url:
        message = f"{gathered.scheme.name} signs the URL that it calls; set the one that is configured there"
        yield gathered.problem(Reason.PUBLIC_URL_MISSING, "spec.publicURL", message)


def _secrets_are_usable(gathered: Gathered) -> Iterator[Problem]:
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
        yield from lint_secret(gathered, scheme, found)


def _verify_token_is_usable(gathered: Gathered) -> Iterator[Problem]:
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


def _api_key_is_usable(gathered: Gathered) -> Iterator[Problem]:
    if gathered.api_key:
        yield from lint_text(gathered, gathered.api_key, "the API key")


def _sinks_are_sound(gathered: Gathered) -> Iterator[Problem]:
    for sink in judged_sinks(gathered):
        yield from sink.check()


def _targets_may_be_reached(gathered: Gathered) -> Iterator[Problem]:
    known = gathered.at_hand.outbound
    rules = gathered.at_hand.policy.of(gathered.route.metadata.namespace).narrow(known or OutboundRules(mode="dev"))
    sinks = ((Reason.SINK_OUT_OF_REACH, *found) for sink in judged_sinks(gathered) for found in sink.urls())
    for reason, field, url in (*sinks, *_tool_urls(gathered)):
        try:
            _judge_url(url, rules)
        except Blocked as blocked:
            severity = Severity.WARNING if known is None and blocked.rule is not Rule.HOST else Severity.ERROR
            yield gathered.problem(reason, field, str(blocked), severity=severity)


def _tool_urls(gathered: Gathered) -> Iterator[tuple[Reason, str, str]]:
    """List where tools lead; one whose URL cannot be read is told of elsewhere."""
    for placed in placed_tools(gathered):
        with contextlib.suppress(ToolUrlRefused):
            yield Reason.TOOL_OUT_OF_REACH, f"{placed.field}.http.url", placed.url().example


def _judge_url(url: str, rules: OutboundRules) -> None:
    if url.startswith("postgres"):
        check_database(parse_database(url), rules)
    else:
        read_url(url, rules)


def _expressions_compile(gathered: Gathered) -> Iterator[Problem]:
    spec = gathered.spec
    expressions = {"spec.filter": spec.filter, "spec.entity": spec.entity}
    expressions |= {f"spec.prompts[{index}].when": prompt.when for index, prompt in enumerate(spec.prompts)}
    expressions |= {f"{placed.field}.when": placed.tool.when for placed in placed_tools(gathered)}
    of_sinks = {f"spec.sinks[{index}].when": sink.when for index, sink in enumerate(spec.sinks)}
    for field, source in (expressions | of_sinks).items():
        if source is None:
            continue
        try:
            compile_expression(source, OF_ANSWERS if field in of_sinks else VARIABLES)
        except ExpressionRefused as refused:
            reason = Reason.UNKNOWN_VARIABLE if refused.unknown_variable else Reason.INVALID_EXPRESSION
            yield gathered.problem(reason, field, f"{refused} (column {refused.column})", line=refused.line)


def _system_texts_exist(gathered: Gathered) -> Iterator[Problem]:
    for found in gathered.systems:
        yield from gathered.absent(found)
        if isinstance(found.value, str) and len(found.value) > crd.MAX_SYSTEM_LENGTH:
            message = f"the text has {len(found.value)} characters; at most {crd.MAX_SYSTEM_LENGTH} are allowed"
            yield gathered.problem(Reason.TEXT_TOO_LONG, found.field, message)


def _templates_compile(gathered: Gathered) -> Iterator[Problem]:
    for found in gathered.users:
        yield from gathered.absent(found)
        if isinstance(found.value, str):
            yield from _lint_template(gathered, found.field, found.value, PROMPT_VARIABLES)
    for sink in judged_sinks(gathered):
        for template in sink.templates():
            yield from _lint_template(gathered, template.field, template.source, template.variables)


def _lint_template(gathered: Gathered, field: str, source: str, variables: frozenset[str]) -> Iterator[Problem]:
    try:
        compile_template(source, variables)
    except TemplateRefused as refused:
        reason = Reason.UNKNOWN_VARIABLE if refused.unknown_variable else Reason.INVALID_TEMPLATE
        yield gathered.problem(reason, field, f"{refused} (column {refused.column})", line=refused.line)


def _prompts_are_reachable(gathered: Gathered) -> Iterator[Problem]:
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


def _events_are_sent(gathered: Gathered) -> Iterator[Problem]:
    provider = gathered.spec.provider
    known = gathered.at_hand.events.of(provider)
    for index, prompt in enumerate(gathered.spec.prompts if known else ()):
        for position, pattern in enumerate(prompt.events):
            if known and not known.sends(pattern):
                message = f'no event of {provider} known on {known.as_of} is called "{pattern}"{known.hint(pattern)}'
                field = f"spec.prompts[{index}].events[{position}]"
                yield gathered.problem(Reason.UNKNOWN_EVENT, field, message, severity=Severity.WARNING)


def _output_schemas_compile(gathered: Gathered) -> Iterator[Problem]:
    for index, prompt in enumerate(gathered.spec.prompts):
        if prompt.output is None:
            continue
        try:
            AnswerSchema(prompt.output.json_schema)
        except SchemaRefused as refused:
            field = f"spec.prompts[{index}].output.schema{refused.path}"
            yield gathered.problem(Reason.INVALID_OUTPUT_SCHEMA, field, str(refused))


def _models_take_what_is_asked(gathered: Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(problem for asked in gathered.asked for problem in _refused(gathered, asked))


def _refused(gathered: Gathered, asked: Asked) -> Iterator[Problem]:
    first = asked.first
    if isinstance(first.told, Refused):
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, f"{first.name} {first.told}")
    if first.model.max_output is not None and first.max_tokens > first.model.max_output:
        message = f"{first.name} answers in {first.model.max_output} tokens at most, not maxTokens {first.max_tokens}"
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, message)
    if asked.want.fallback == first.name:
        message = f"{first.name} cannot stand in for itself; name another fallback"
        yield gathered.problem(Reason.MODEL_REFUSES, asked.field, message)


def _policy_is_kept(gathered: Gathered) -> Iterator[Problem]:
    yield from _of_candidates(gathered, _violations)


def _of_candidates(
    gathered: Gathered, check: Callable[[Gathered, Asked, Candidate], Iterator[Problem]]
) -> Iterator[Problem]:
    """Look at each model that may be asked; what is wrong for several prompts alike is said once."""
    yield from dict.fromkeys(
        problem
        for asked in gathered.asked
        for candidate in filter(None, (asked.first, asked.fallback))
        for problem in check(gathered, asked, candidate)
    )


def _violations(gathered: Gathered, asked: Asked, candidate: Candidate) -> Iterator[Problem]:
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


def _budgets_can_be_kept(gathered: Gathered) -> Iterator[Problem]:
    yield from dict.fromkeys(
        problem
        for rule in list_budgets(gathered)
        for asked in gathered.asked
        for candidate in filter(None, (asked.first, asked.fallback))
        for problem in (*_too_long(gathered, asked, candidate, rule), *_unpayable(gathered, asked, candidate, rule))
    )


def _too_long(gathered: Gathered, asked: Asked, candidate: Candidate, rule: BudgetRule) -> Iterator[Problem]:
    """Say why a call cannot be made within a budget in tokens."""
    if rule.tokens is not None and candidate.max_tokens > rule.tokens:
        yield _too_small(gathered, asked, rule, f"an answer of {candidate.name} may have {candidate.max_tokens} tokens")


def _unpayable(gathered: Gathered, asked: Asked, candidate: Candidate, rule: BudgetRule) -> Iterator[Problem]:
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


def _too_small(gathered: Gathered, asked: Asked, rule: BudgetRule, may: str) -> Problem:
    message = f"{may}, more than all of the budget of {whose(rule.scope)}: nothing would be asked"
    return gathered.problem(Reason.BUDGET_TOO_SMALL, asked.field, message, severity=Severity.WARNING)


def _models_will_answer(gathered: Gathered) -> Iterator[Problem]:
    yield from _of_candidates(gathered, _doubts)


def _doubts(gathered: Gathered, asked: Asked, candidate: Candidate) -> Iterator[Problem]:
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


def _caches_are_used(gathered: Gathered) -> Iterator[Problem]:
    for asked, system in zip(gathered.asked, gathered.systems, strict=True):
        said = system.value if isinstance(system.value, str) else crd.DEFAULT_SYSTEM
        least = asked.first.model.shortest_cached
        if asked.want.cache in ("5m", "1h") and len(said.encode()) // _BYTES_PER_TOKEN < least:
            message = f"{asked.first.name} caches nothing shorter than {least} tokens, which the system text is"
            yield gathered.problem(Reason.CACHE_UNUSED, asked.field, message, severity=Severity.WARNING)


def _sinks_have_names_of_their_own(gathered: Gathered) -> Iterator[Problem]:
    names = [sink_name(sink) for sink in gathered.spec.sinks]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f'sinks[{names.index(name)}] is called "{name}" too; give each a name of its own'
            yield gathered.problem(Reason.DUPLICATE_SINK, f"spec.sinks[{index}].name", message)


CHECKS: Final[tuple[Check, ...]] = (
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
    _sinks_are_sound,
    _targets_may_be_reached,
    _expressions_compile,
    _system_texts_exist,
    _templates_compile,
    _prompts_are_reachable,
    _events_are_sent,
    _output_schemas_compile,
    check_tools,
    _models_take_what_is_asked,
    _policy_is_kept,
    _budgets_can_be_kept,
    _models_will_answer,
    _caches_are_used,
    _sinks_have_names_of_their_own,
)
