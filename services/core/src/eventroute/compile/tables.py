"""The table entries of a route without errors."""

from eventroute.compile.budgets import list_budgets
from eventroute.compile.gathered import Asked, Candidate, Gathered, value_of
from eventroute.compile.sinks import judged_sinks
from eventroute.compile.tools import list_tools, talk_limits
from eventroute.crd import v1alpha1 as crd
from eventroute.crd.duration import seconds
from eventroute.errors import Refused
from eventroute.expression import OF_ANSWERS, compile_expression
from eventroute.models import CacheRule
from eventroute.route_table import (
    DebounceRule,
    HistoryRule,
    ModelCall,
    PromptRule,
    RateLimit,
    ReceiverRoute,
    RedactRule,
    RetentionRule,
    RetryRule,
    WorkerRoute,
)
from eventroute.schemes import is_inside, needs_secret, needs_verify_token
from eventroute.template import compile_template


def receiver_route(gathered: Gathered, *, may_name_headers: bool = True) -> ReceiverRoute:
    """Write what receivers need.

    may_name_headers  whether the prompts' and sinks' own headers can be told; else any are kept
    """
    spec, scheme = gathered.spec, gathered.scheme
    if scheme is None:
        raise TypeError("unknown provider")  # the same
    limit = spec.rate_limit
    return ReceiverRoute(
        uid=gathered.uid,
        path=gathered.path,
        generation=gathered.route.metadata.generation,
        scheme=scheme,
        secrets=tuple(map(value_of, gathered.secrets)) if needs_secret(scheme) else (),
        secret_names=tuple(f"{ref.name}/{ref.key}" for ref in spec.secret_refs) if needs_secret(scheme) else (),
        verify_token=value_of(gathered.verify_token) if gathered.verify_token and needs_verify_token(scheme) else None,
        public_url=spec.public_url,
        suspend=spec.suspend.mode if spec.suspend else None,
        own_actors=spec.own_actors,
        max_hops=spec.max_hops,
        filter=spec.filter,
        max_body_bytes=spec.max_body_bytes or scheme.max_body_bytes,
        rate_limit=RateLimit(per_second=limit.per_second, burst=limit.burst) if limit else None,
        headers=_named_headers(gathered) if may_name_headers else None,
        redact=RedactRule(headers=tuple(name.lower() for name in spec.redact.headers), payload=spec.redact.payload),
        entity=spec.entity if spec.concurrency.per_entity or spec.debounce or spec.supersede else None,
        per_entity=spec.concurrency.per_entity is not None,
        debounce=DebounceRule(quiet_s=seconds(spec.debounce.quiet), max_s=seconds(spec.debounce.max))
        if spec.debounce
        else None,
        supersede=spec.supersede,
    )


def _named_headers(gathered: Gathered) -> tuple[str, ...] | None:
    """Tell which headers a route looks at; None when it may be any."""
    spec = gathered.spec
    expressions = (spec.filter, spec.entity, *(prompt.when for prompt in spec.prompts))
    uses = [compile_expression(each).headers for each in expressions if each]
    uses += [compile_expression(tool.when).headers for prompt in spec.prompts for tool in prompt.tools if tool.when]
    uses += [compile_expression(sink.when, OF_ANSWERS).headers for sink in spec.sinks if sink.when]
    uses += [compile_template(text).headers for text in map(value_of, gathered.users) if text]
    for sink in judged_sinks(gathered):
        uses += [compile_template(template.source, template.variables).headers for template in sink.templates()]
    named: set[str] = set()
    for use in uses:
        if use is None:
            return None
        named |= use
    return tuple(sorted(named))


def worker_route(gathered: Gathered, *, takes_answers: bool = True) -> WorkerRoute:
    """Write what workers need.

    takes_answers  whether the fields by which events are taken are right, which workers need of routes inside
    """
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
                system=value_of(system) or crd.DEFAULT_SYSTEM,
                user=value_of(user),
                output_schema=prompt.output.json_schema if prompt.output else None,
                tools=list_tools(gathered, position),
                limits=talk_limits(prompt.limits),
            )
            for position, (prompt, asked, system, user) in enumerate(
                zip(spec.prompts, gathered.asked, gathered.systems, gathered.users, strict=True)
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
        sinks=tuple(sink.entry() for sink in judged_sinks(gathered)),
        max_running=spec.concurrency.max or 0,
        holds_lanes=spec.concurrency.on_dead == "hold",
        api_key=value_of(gathered.api_key) if gathered.api_key else None,
        budgets=list_budgets(gathered),
        receives=receiver_route(gathered, may_name_headers=False)
        if takes_answers and gathered.scheme and is_inside(gathered.scheme)
        else None,
    )


def _model_call(asked: Asked) -> ModelCall:
    timeout_s = float(seconds(asked.want.timeout))
    fallback = _call(asked.fallback, timeout_s, asked.want.cache) if asked.fallback else None
    return _call(asked.first, timeout_s, asked.want.cache, fallback)


def _call(candidate: Candidate, timeout_s: float, cache: CacheRule, fallback: ModelCall | None = None) -> ModelCall:
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


def _seconds(duration: str | None) -> int | None:
    return None if duration is None else seconds(duration)
