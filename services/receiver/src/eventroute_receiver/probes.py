"""The second port: probes, metrics and the autoscaler's figure. Nothing here is for the internet."""

from collections.abc import Callable

from litestar import Litestar, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE

from eventroute.ids import RoutePath, parse_path
from eventroute.runtime import metrics
from eventroute.runtime.tables import RouteTable
from eventroute_receiver.admit import Admission, NotNow
from eventroute_receiver.routes import Hook


def build_probes(admission: Admission, table: RouteTable[Hook], *, is_draining: Callable[[], bool]) -> Litestar:
    """Build the application of the probe port.

    is_draining  the process was asked to stop: no new connections, please
    """

    def is_warm() -> bool:
        return table.version is not None

    def may_go(path: RoutePath) -> bool:
        """Tell whether a held route, or sink of one, is so only until a worker looks, of which there may be none."""
        hook = table.get(parse_path(path)[0])
        return hook is not None and hook.route.suspend is None

    @get("/livez", sync_to_thread=False)
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    @get("/readyz", sync_to_thread=False)
    def readyz() -> Response[dict[str, bool]]:
        ready = is_warm() and not is_draining()
        # Redis is shown, not asked: without it a receiver still answers 503 with Retry-After, an unready one nothing.
        state = {"ready": ready, "table": is_warm(), "redis": admission.is_up, "draining": is_draining()}
        return Response(state, status_code=HTTP_200_OK if ready else HTTP_503_SERVICE_UNAVAILABLE)

    @get("/metrics")
    async def exposition() -> Response[bytes]:
        return Response(await metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    @get("/load")
    async def load() -> Response[dict[str, int | str]]:
        found = await admission.load(may_go=may_go)
        if isinstance(found, NotNow):
            return Response({"unavailable": str(found.reason)}, status_code=HTTP_503_SERVICE_UNAVAILABLE)
        return Response(
            {
                "load": found.workable,
                "throttled": found.throttled,
                "deferred": found.later,
                "held": found.held,
            }
        )

    return Litestar([livez, readyz, exposition, load], openapi_config=None, logging_config=None)
