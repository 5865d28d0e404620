"""Senders to the outside, for servers of a test: those are on loopback, which `dev` allows."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from eventroute.outbound import OutboundRules
from eventroute_worker.outbound import Outbound
from eventroute_worker.resolve import Resolve
from support.certificates import Authority

NewOutbound = Callable[..., Awaitable[Outbound]]


def maker(stack: AsyncExitStack, authority: Authority) -> NewOutbound:
    """Make senders that trust an authority, look names up nowhere, and are closed with the stack."""

    async def make(*ports: int, resolve: Resolve = to_loopback, **said: object) -> Outbound:
        rules = OutboundRules.model_validate({"mode": "dev", "ports": ports or (443,), **said})
        trusted = ssl.create_default_context(cafile=str(authority.certfile))
        return await stack.enter_async_context(Outbound(rules, resolve=resolve, trusted=trusted))

    return make


async def to_loopback(_: str) -> Sequence[str]:
    """Find every name here."""
    return ["127.0.0.1"]
