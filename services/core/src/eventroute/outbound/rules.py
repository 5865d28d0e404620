"""What the platform's owner allows of connections to the outside: one value, for sinks and tools alike.

The chart's `outbound`, with the hosts of `operator.policy`; workers read it from `EVENTROUTE_WORKER_OUTBOUND`.
"""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from eventroute.outbound.address import Network, denied_network, owners_network

HOST_PATTERN: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$|^[0-9a-f]*:[0-9a-f:.]+$"

HostPattern = Annotated[str, StringConstraints(pattern=HOST_PATTERN, max_length=253)]
"""A host's name or address, in lower case; or `*.` and the end of names."""

OwnersNetwork = Annotated[
    Network, BeforeValidator(lambda said: owners_network(said) if isinstance(said, str) else said)
]
DeniedNetwork = Annotated[
    Network, BeforeValidator(lambda said: denied_network(said) if isinstance(said, str) else said)
]
Port = Annotated[int, Field(ge=1, le=65535)]


def _without_credentials(proxy: str) -> str:
    if "@" in proxy:
        raise ValueError("a proxy's URL has no user and password: settings are shown to whoever reads the Deployment")
    return proxy


class OutboundRules(BaseModel):
    """What may be connected to; what is empty allows nothing beyond the public internet, and limits no host."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    mode: Literal["cluster", "dev"] = "cluster"
    """`dev` allows loopback as well, on any port and without TLS: what a developer runs beside the programs."""
    allowed_hosts: tuple[HostPattern, ...] = Field(default=(), max_length=1024)
    """Only these, and `private_hosts`; empty = any public host."""
    ports: tuple[Port, ...] = Field(default=(443,), max_length=64)
    private_hosts: tuple[HostPattern, ...] = Field(default=(), max_length=256)
    """Names that may be internal and lead to private addresses, without TLS too."""
    private_cidrs: tuple[OwnersNetwork, ...] = Field(default=(), max_length=256, alias="privateCIDRs")
    """Private addresses that any name may lead to."""
    denied_cidrs: tuple[DeniedNetwork, ...] = Field(default=(), max_length=256, alias="deniedCIDRs")
    """Public addresses that none may lead to: of nodes, or of the API server."""
    proxy: Annotated[
        str, StringConstraints(pattern=r"^(https?://[^/?#]+/?)?$"), AfterValidator(_without_credentials)
    ] = ""
    """Through which HTTP goes; it resolves names by itself, so that addresses are its business."""


def matches(pattern: str, host: str) -> bool:
    """Tell whether a pattern means a host; `*.example.com` means all below example.com, not itself."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
