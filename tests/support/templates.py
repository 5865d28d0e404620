"""Templates rendered over a payload, as a prompt would."""

from typing import Any, NamedTuple

from eventroute.fence import Fence, build_fence
from eventroute.template import compile_template

FENCE: Fence = build_fence(b"seed", ())


class Text(NamedTuple):
    """A rendering, and the tags of its fence."""

    text: str
    missing: tuple[str, ...]
    opening: str = FENCE.opening
    closing: str = FENCE.closing


def render(source: str, payload: Any, **variables: Any) -> Text:
    """Compile and render a template, however long it takes; `variables` replaces others than the payload."""
    scope = {
        "payload": payload,
        "event": "issues.opened",
        "headers": {"x-request": "r-1"},
        "route": {"namespace": "team-a", "name": "triage"},
        "provider": "github",
        "entity": "",
        "received_at": "2026-03-01T12:00:00Z",
        **variables,
    }
    return Text(*compile_template(source).render(scope, FENCE, clock=lambda: 0.0))
