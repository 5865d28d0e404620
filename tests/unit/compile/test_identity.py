"""A route has one identity: the API server's, or one that follows from its name."""

from eventroute.compile import compile_routes
from support.routes import compiled, event_route


def test_without_an_api_server_the_uid_follows_from_namespace_and_name() -> None:
    first, second = compiled().verdicts[0], compiled(suspend={"mode": "drop"}).verdicts[0]
    assert first.uid == second.uid == "6561c1ac-6e42-5e4c-87d8-44b7e39a4209"


def test_the_api_servers_uid_counts() -> None:
    route = event_route()
    named = route.model_copy(update={"metadata": route.metadata.model_copy(update={"uid": "u-1", "generation": 3})})
    verdict = compile_routes([named], secrets={}, config_maps={}).verdicts[0]
    assert (verdict.uid, verdict.generation) == ("u-1", 3)
