"""The application of the hooks' port: Litestar around one handler, which requests to hooks reach without a detour.

Routing would take several times as long as the glance at the path that stands for it, and goes by a normalized path,
in which `%2F`, `//` and trailing slashes are gone: hooks are told by the path as it came.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar, asgi

from eventroute_receiver.webhook import PREFIX, Webhooks


class Hooks(Litestar):
    """A Litestar application of which every path leads to `webhooks`."""

    __slots__ = ("webhooks",)

    def __init__(
        self, webhooks: Webhooks, *, lifespan: Callable[[Litestar], AbstractAsyncContextManager[None]]
    ) -> None:
        """Take what answers requests, and what runs behind it while the application does."""
        self.webhooks = webhooks
        rest = asgi("/", is_mount=True, copy_scope=False)(webhooks.__call__)
        super().__init__([rest], lifespan=[lifespan], openapi_config=None, logging_config=None)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or take part in the server's lifespan."""
        if scope["type"] == "http" and scope["raw_path"].startswith(PREFIX):
            await self.webhooks(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
