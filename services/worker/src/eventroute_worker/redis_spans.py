"""A run's Redis steps as spans: what was read, saved and settled, as children of the attempt.

OpenTelemetry's own instrumentation does it, on a client of its own that only runs use: looking for work, renewing
leases and upkeep go through another one, so that an idle worker makes no spans. Statements are shown without values.
"""

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span

from eventroute.queue import scripts as queue
from eventroute.runtime.link import LinkedRedis
from eventroute.throttle import scripts as throttle

_BY_DIGEST: Final = frozenset({"EVALSHA", "EVAL"})
_NAMES: Final = {**queue.NAMES, **throttle.NAMES}


def instrument(redis: LinkedRedis) -> None:
    """Make a client tell of each of its commands; does nothing where no spans leave the process."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        RedisInstrumentor.instrument_client(redis, tracer_provider=provider, request_hook=_name)


def _name(span: Span, _client: Any, args: Sequence[Any], _options: Any) -> None:
    """Call a script by its name; its digest says nothing to people."""
    if span.is_recording() and len(args) > 1 and args[0] in _BY_DIGEST and (name := _NAMES.get(args[1])):
        span.update_name(f"redis {name}")
