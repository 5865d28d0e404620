"""Golden statuses: situations of a route, and `tests/golden/status/<situation>.yaml` with what is said of it.

`PYTHONPATH=tests python -m support.golden_status` writes the files anew; read the difference before you commit it.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from eventroute.crd.status import StatusReason
from eventroute.ids import RoutePath
from eventroute.outcome import LeftOut
from eventroute.runtime.notices import Notice
from eventroute.runtime.stats import Effect, LastDelivery, RouteStats
from eventroute_operator.cluster import Kind
from eventroute_operator.fleet import Fleet, Published, Serving
from eventroute_operator.judge import Judged, judge
from eventroute_operator.obstacles import Obstacle, Obstacles
from eventroute_operator.scaling import Scaling
from eventroute_operator.status import Facts, build_status
from support.cluster_objects import TRIAGE, cluster_with, config_map_body, route_body, secret_body

FOLDER = Path(__file__).parent.parent / "golden" / "status"
NOW = datetime(2026, 1, 31, 12, 0, 0, 999_000, UTC)
SERVED = Fleet(Serving(7), Serving(7))
TROUBLED = Serving(7, redis=frozenset({"maxmemory-policy is volatile-lru"}))
SPENT = Obstacle(
    StatusReason.BUDGET_SPENT,
    "the budget of namespace team-a, USD 20, has no room; its period ends at 2026-02-01T00:00:00Z",
)
REFUSED = Obstacle(StatusReason.KEY_REFUSED, "Claude's API refuses the key: 401")
NO_STATS = RouteStats(receipts={}, runs={}, last=None, secrets={})
BUSY = RouteStats(
    receipts={"queued": 12, "duplicate": 3, "filtered": 2, "suspended": 1, "unauthenticated": 4, "rate_limited": 5},
    runs={"succeeded": 10, "dead": 2},
    last=LastDelivery(time_ms=1_769_860_000_123, outcome="dead", delivery="d-1", trace_id="ab" * 16),
    secrets={"hook/secret": 1_769_850_000_999},
)
IDLE = RouteStats(
    receipts={"queued": 30, "filtered": 2, "handshake": 1},
    runs={"discarded": 30},
    last=LastDelivery(time_ms=1_769_860_000_123, outcome="discarded", delivery="d-1", trace_id="ab" * 16),
    secrets={"hook/secret": 1_769_850_000_999},
    effect=Effect(
        generation=3,
        since_ms=1_769_857_200_000,
        queued=30,
        left={
            LeftOut.NO_PROMPT: {"pull_request.opened": 20, "issues.opened": 6, "push": 4},
            LeftOut.FILTERED: {"ping": 2},
        },
    ),
)


def judged(*, with_secret: bool = True, texts: Mapping[str, str] | None = None, **spec: Any) -> Judged:
    """Judge a route, of generation 3 unless the fields say otherwise."""
    cluster = cluster_with(route_body(**{"generation": 3, **spec}))
    if with_secret:
        cluster.see(Kind.SECRET, secret_body("hook", uid="uid-hook", version=77))
    if texts is not None:
        cluster.see(Kind.CONFIG_MAP, config_map_body("texts", **texts))
    return judge(cluster.routes[TRIAGE], cluster.find)


def status(of: Judged | None = None, *, before: Mapping[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    """Write a status; `facts` replace those of a route that is served and has had no delivery."""
    fields: dict[str, Any] = {
        "published": Published(7, 7),
        "fleet": SERVED,
        "scaling": Scaling(),
        "stats": NO_STATS,
        "obstacles": Obstacles(),
        "hooks_url": None,
        "now": NOW,
        **facts,
    }
    return build_status(Facts(judged=of or judged(), **fields), before or {})


def _earlier(**facts: Any) -> dict[str, Any]:
    return status(now=datetime(2026, 1, 1, tzinfo=UTC), **facts)


def _earlier_idle() -> dict[str, Any]:
    return status(stats=IDLE)


def _text_in(name: str) -> dict[str, Any]:
    return {"prompts": [{"userFrom": {"name": name, "key": "user"}}]}


SITUATIONS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "ready": status,
    "ready-with-traffic": lambda: status(stats=BUSY, hooks_url="https://hooks.example.com/hooks/"),
    "ready-as-before": lambda: status(before=_earlier()),
    "ready-again": lambda: status(before=_earlier(of=judged(with_secret=False))),
    "statistics-not-read": lambda: status(before=_earlier(stats=BUSY), stats=None),
    "foreign-status-before": lambda: status(before={"conditions": "none of ours", "counts": 3}, stats=None),
    "invalid-spec": lambda: status(judged(modle={"name": "x"}), published=Published()),
    "secret-missing": lambda: status(judged(with_secret=False), published=Published()),
    "secret-lost": lambda: status(judged(with_secret=False), published=Published(), before=_earlier(stats=BUSY)),
    "config-map-missing": lambda: status(judged(**_text_in("texts")), published=Published()),
    "template-broken": lambda: status(judged(texts={"user": "{{ "}, **_text_in("texts")), published=Published()),
    "filter-broken-and-former-served": lambda: status(
        judged(filter="payload.", generation=4), published=Published(None, 7, former_receiver=3), before=_earlier()
    ),
    "spec-broken-and-former-served": lambda: status(
        judged(modle={"name": "x"}, generation=4),
        published=Published(former_receiver=3, former_worker=2),
        before=_earlier(),
    ),
    "several-mistakes": lambda: status(judged(with_secret=False, provider="githbu"), published=Published()),
    "propagating": lambda: status(published=Published(8, 8), before=_earlier(published=Published(7, 7))),
    "no-receivers": lambda: status(fleet=Fleet(Serving(), Serving(7))),
    "no-workers": lambda: status(fleet=Fleet(Serving(7), Serving())),
    "unreadable": lambda: status(fleet=Fleet(Serving(7, frozenset({RoutePath("team-a/triage")})), Serving(7))),
    "redis-away": lambda: status(fleet=SERVED._replace(is_away=True), before=_earlier()),
    "redis-troubled": lambda: status(fleet=Fleet(TROUBLED, TROUBLED), before=_earlier()),
    "key-refused": lambda: status(
        obstacles=Obstacles(by_route={RoutePath("team-a/triage"): REFUSED}),
        before=_earlier(),
    ),
    "nothing-matched": lambda: status(stats=IDLE, before=_earlier()),
    "nothing-matched-not-read": lambda: status(before=_earlier_idle(), stats=None),
    "nothing-matched-of-the-spec-before": lambda: status(judged(filter="true", generation=4), stats=IDLE),
    "budget-spent": lambda: status(obstacles=Obstacles(by_route={RoutePath("team-a/triage"): SPENT})),
    "model-retires": lambda: status(
        obstacles=Obstacles(notices={"claude-haiku-5-5": Notice(retires=date(2026, 2, 10))}), before=_earlier()
    ),
    "model-retired": lambda: status(
        obstacles=Obstacles(notices={"claude-haiku-5-5": Notice(is_retired=True, retires=date(2026, 1, 30))}),
        before=_earlier(),
    ),
    "stopped": lambda: status(
        judged(suspend={"mode": "hold"}), obstacles=Obstacles(Obstacle(StatusReason.STOPPED, "me@desk stopped it"))
    ),
    "suspended": lambda: status(judged(suspend={"mode": "hold"}), obstacles=None),
    "obstacles-not-read": lambda: status(obstacles=None, before=_earlier()),
    "keda-missing": lambda: status(scaling=Scaling(StatusReason.KEDA_NOT_INSTALLED)),
    "autoscaler-not-ready": lambda: status(
        scaling=Scaling(StatusReason.AUTOSCALER_NOT_READY, "ScaledObject eventroute/worker is not ready")
    ),
}


def expected(situation: str) -> Any:
    """Read what should be said."""
    return yaml.safe_load((FOLDER / f"{situation}.yaml").read_text(encoding="utf-8"))


if __name__ == "__main__":
    for name, build in SITUATIONS.items():
        text = yaml.safe_dump(build(), sort_keys=False, allow_unicode=True, width=120)
        (FOLDER / f"{name}.yaml").write_text(text, encoding="utf-8")
