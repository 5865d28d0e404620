"""Specs at random: mostly right, often at a limit, sometimes wrong, so that two judges of them can be compared."""

from typing import Any, Final

from hypothesis import strategies as st

from eventroute.compile import Problem, Severity, compile_routes
from eventroute.crd.v1alpha1 import API_VERSION, EventRoute
from eventroute.crd.validate import Mistake, parse_route
from eventroute.schemes import SCHEMES

NAMESPACE: Final = "agreement"


_BOOLEAN: Final = st.sampled_from((True, False))


def _mostly(*right: Any, wrong: tuple[Any, ...] = ()) -> st.SearchStrategy[Any]:
    """Pick a right value nine times out of ten."""
    return st.integers(0, 9).flatmap(lambda number: st.sampled_from(right if number or not wrong else wrong))


_REF = st.fixed_dictionaries(
    {
        "name": _mostly("hook", "a.b", "x" * 253, wrong=("Hook", "x" * 254, "a..b", "", None)),
        "key": _mostly("secret", "A_b.c", wrong=("a/b", "", 5)),
    }
)
_WHOLE_REF = st.fixed_dictionaries({"name": st.just("texts"), "key": st.just("one")})
_TIMEOUT = _mostly("1s", "10m", "9m60s", "90s", "1m1m", wrong=("0s", "601s", "11m", "", "1d", "5", 5, None))
_PROMPT_MODEL = st.fixed_dictionaries(
    {},
    optional={
        "name": _mostly("claude-haiku-5-5", "a/b:c@d", wrong=("", "a b", "-a", "x" * 129)),
        "maxTokens": _mostly(1, 64_000, wrong=(0, 64_001, "512", True)),
        "timeout": _TIMEOUT,
        "thinking": _mostly("auto", wrong=("on", False, None)),
        "cache": _mostly("auto", "5m", wrong=("10m", False)),
        "effort": _mostly("low", "high", wrong=("huge", "", 1)),
    },
)
_PROMPT = st.fixed_dictionaries(
    {},
    optional={
        "events": _mostly(["*"], ["a.*", "b"], ["x" * 128], wrong=([], [""], ["x" * 129], "a", ["a"] * 33, [None])),
        "when": _mostly("payload.a == 1", "true", wrong=("", 5, None)),
        "model": _PROMPT_MODEL,
        "system": _mostly("Say so.", "", "\u00e4" * 32_768, wrong=("x" * 32_769, 5)),
        "systemFrom": _WHOLE_REF,
        "user": _mostly("{{ payload.a }}", "", wrong=("x" * 32_769, [])),
        "userFrom": _WHOLE_REF,
    },
)
_HANDSHAKE = st.fixed_dictionaries(
    {},
    optional={
        "method": _mostly("POST", "GET", "HEAD", wrong=("OPTIONS", "get")),
        "when": _mostly(
            [{"source": "query:a"}],
            [{"source": "query:b", "verifyToken": True}],
            wrong=([{}], [{"source": "body:a", "equals": 1}]),
        ),
        "echo": _mostly("query:a", "a.b=query:a", "header:x", "", wrong=("a=", "query:a b")),
        "proof": _mostly("a=query:b", "", wrong=("query:b",)),
    },
)
_CUSTOM = st.fixed_dictionaries(
    {"signature": _mostly("header:x-signature", wrong=("", "header:x y"))},
    optional={
        "kind": _mostly("hmac", "token", "none", wrong=("rsa",)),
        "signed": _mostly(["body"], ["url", "body"], ["timestamp", "text:.", "body"], wrong=([""], ["a"] * 17)),
        "timestamp": _mostly("header:x-timestamp", wrong=(" ",)),
        "dedupTTL": _mostly("1m", "720h", "24h", wrong=("59s", "721h", "999999h999999h999999h")),
        "separator": _mostly("", ",", wrong=(",,",)),
        "batch": _mostly("", "body", "body:items", wrong=("items",)),
        "successStatus": _mostly(200, 299, wrong=(199, 300)),
        "handshake": st.lists(_HANDSHAKE, max_size=2),
    },
)
_HISTORY = st.fixed_dictionaries(
    {},
    optional={
        "scope": _mostly("route", "namespace", wrong=("cluster",)),
        "keep": _mostly(1, 9, 10, 50, 1000, wrong=(0, 1001)),
        "inject": _mostly(0, 1, 10, 50, 51, 100, wrong=(-1, 101)),
        "ttl": _mostly("1m", "8760h", wrong=("59s", "8761h")),
    },
)
_KEPT = _mostly("0s", "1h", "720h", wrong=("721h", "8761h", "1d", 5, None))
_SINK = st.one_of(
    st.just({"log": {}}),
    st.fixed_dictionaries({"name": _mostly("log", "stream-results", "own", wrong=("Own", "")), "log": st.just({})}),
    st.just({"stream": {}}),
    st.fixed_dictionaries(
        {}, optional={"stream": st.fixed_dictionaries({}, optional={"name": _mostly("a-b", wrong=("a:b", "x" * 64))})}
    ),
    st.sampled_from([{}, {"log": {}, "stream": {}}, {"log": None}, {"email": {}}, None]),
)
_PROVIDER = _mostly(*SCHEMES, *["custom"] * 12, *["none"] * 4, wrong=("gihub", "", "GitHub", 5))
_FIELDS: Final = {
    "custom": _CUSTOM,
    "secretRefs": st.lists(_REF, min_size=1, max_size=5),
    "verifyTokenRef": _REF,
    "allowUnauthenticated": st.one_of(_BOOLEAN, _BOOLEAN, st.sampled_from(("yes", 1))),
    "requireStrength": _mostly("authenticated", "verified", wrong=("open",)),
    "tolerance": _mostly("1s", "24h", "5m", wrong=("0s", "1441m", "86401s")),
    "publicURL": _mostly("https://a.example/b", "http://a", wrong=("a.example", "https://a b", "")),
    "suspend": _mostly({"mode": "hold"}, {"mode": "drop"}, wrong=({}, {"mode": "stop"}, True, None)),
    "ownActors": _mostly(["us[bot]"], ["a", "b"], wrong=(["x" * 129], [""], ["a"] * 9, "us", [5])),
    "maxHops": _mostly(1, 5, 20, wrong=(0, 21, "5", 1.5, None)),
    "filter": _mostly("payload.a == 1", f'payload.a == "{"x" * 1009}"', wrong=("", "x" * 1025, None)),
    "maxBodyBytes": _mostly(1024, 26_214_400, wrong=(1023, 26_214_401, "1Mi")),
    "rateLimit": _mostly(
        {"perSecond": 0.5, "burst": 1},
        {"perSecond": 10_000, "burst": 100_000},
        wrong=({"perSecond": 0, "burst": 1}, {"perSecond": 1}, {"perSecond": 1, "burst": 1.5}),
    ),
    "model": _PROMPT_MODEL,
    "prompts": st.lists(_PROMPT, min_size=1, max_size=2),
    "entity": _mostly("payload.a", wrong=("", False)),
    "history": _HISTORY,
    "retry": _mostly({"attempts": 20, "deadline": "168h"}, {}, wrong=({"attempts": 21}, {"deadline": "30s"})),
    "retention": st.fixed_dictionaries({}, optional=dict.fromkeys(("payload", "answer", "record"), _KEPT)),
    "sinks": st.lists(_SINK, min_size=1, max_size=2),
}


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    """Build a spec of a few fields; those that its provider asks for are mostly there."""
    spec: dict[str, Any] = {"provider": draw(_PROVIDER)}
    fields = draw(st.sets(st.sampled_from(sorted(_FIELDS)), max_size=3))
    wanted = {
        "custom": {"custom"},
        "none": {"allowUnauthenticated"},
        "meta": {"verifyTokenRef"},
        "strava": {"verifyTokenRef", "allowUnauthenticated"},
    }.get(spec["provider"], set())
    if draw(st.integers(0, 5)):  # once in six they are left to chance
        spec["secretRefs"] = [{"name": "hook", "key": "secret"}]
        fields |= wanted
    if "history" in fields and draw(st.integers(0, 5)):
        fields |= {"entity"}
    return spec | {name: draw(_FIELDS[name]) for name in sorted(fields)}


def route_of(spec: Any) -> dict[str, Any]:
    """Write a manifest around a spec."""
    metadata = {"name": "route", "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, "kind": "EventRoute", "metadata": metadata, "spec": spec}


def verdict_on(spec: Any) -> tuple[Mistake | Problem, ...]:
    """Name what lint would refuse of a spec, whatever its Secrets and ConfigMaps hold."""
    route = parse_route(route_of(spec))
    if not isinstance(route, EventRoute):
        return route
    (verdict,) = compile_routes([route], secrets={}, config_maps={}, complete=False).verdicts
    return tuple(problem for problem in verdict.problems if problem.severity is Severity.ERROR)
