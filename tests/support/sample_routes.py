"""Compiled routes as the publisher would make them, for tests that need no manifest."""

from typing import Any

from msgspec.structs import replace

from eventroute.ids import RouteUid, route_path
from eventroute.route_table import LogSink, ModelCall, PromptRule, ReceiverRoute, RetentionRule, RetryRule, WorkerRoute
from eventroute.schemes import SCHEMES
from eventroute.secret import Secret

SECRET = "a-secret-that-nobody-knows"


def receiver_route(provider: str = "github", *, name: str = "triage", **changes: Any) -> ReceiverRoute:
    """Build a route of namespace `team-a` with sensible values; `changes` replaces fields."""
    fields: dict[str, Any] = {
        "uid": RouteUid(f"uid-{name}"),
        "path": route_path("team-a", name),
        "generation": 1,
        "scheme": replace(SCHEMES[provider], patience_s=0),  # that Redis is away is told at once
        "secrets": (Secret(SECRET.encode()),),
        "secret_names": ("hook/secret",),
        "public_url": None,
        "filter": None,
        "max_body_bytes": 1_048_576,
        "rate_limit": None,
    }
    return ReceiverRoute(**{**fields, **changes})


def worker_route(*, name: str = "triage", **changes: Any) -> WorkerRoute:
    """Build the work part of the same route; `changes` replaces fields."""
    model = ModelCall(name="claude-haiku-5-5", max_tokens=1024, timeout_s=120)
    fields: dict[str, Any] = {
        "uid": RouteUid(f"uid-{name}"),
        "path": route_path("team-a", name),
        "generation": 1,
        "provider": "github",
        "prompts": (PromptRule(events=("*",), when=None, model=model, system="Summarize.", user=None),),
        "entity": None,
        "history": None,
        "retry": RetryRule(attempts=8, deadline_s=86_400),
        "retention": RetentionRule(),
        "sinks": (LogSink(name="log"),),
        "api_key": None,
    }
    return WorkerRoute(**{**fields, **changes})
