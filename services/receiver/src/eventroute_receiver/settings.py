"""The receiver's settings, read once from `EVENTROUTE_RECEIVER_…`."""

from typing import ClassVar

from pydantic import Field, SecretStr

from eventroute.runtime.settings import Settings


class ReceiverSettings(Settings):
    """Everything that an installation may change; units are in the names."""

    prefix: ClassVar[str] = "EVENTROUTE_RECEIVER_"

    host: str = "0.0.0.0"  # noqa: S104 - a Service or an Ingress stands in front
    """Address of the hooks' port."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port that providers reach."""
    probe_port: int = Field(default=8081, ge=0, le=65535)
    """Port for probes, metrics and the autoscaler's figure; no Ingress exposes it."""
    redis_url: SecretStr
    """Redis or Valkey with `noeviction`, as `eventroute.runtime.redis_url` describes; prints no password."""
    table_key: SecretStr
    """Opens the receivers' route table: base64 of 32 bytes."""
    max_queue_depth: int = Field(default=100_000, ge=1)
    """Deliveries queued above which senders are told to come back; one route may hold as much as is left free."""
    max_queue_bytes: int = Field(default=0, ge=0)
    """The same in bytes of deliveries; 0 = any. Redis needs some 600 bytes more for each delivery."""
    replicas: int = Field(default=0, ge=0, le=10)
    """How many replicas must have a delivery before it is acknowledged; 0 = the primary's word is enough."""
    groups: int = Field(default=1, ge=1, le=1024)
    """Into how many groups the queue is split, for a Redis Cluster; the same number in every program."""
    read_deadline_s: float = Field(default=10.0, gt=0)
    """How long a sender may take for a request's head, and for its body."""
    idle_timeout_s: int = Field(default=75, ge=1)
    """How long a connection may be idle: longer than proxies keep theirs (60 s), which would send into a closed one."""
    max_connections: int = Field(default=1000, ge=1)
    """Connections at once, of each port; above, a sender is told to come back. Each may hold 128 KiB of a head."""
    max_bytes_in_flight: int = Field(default=67_108_864, ge=1)
    """Bytes of bodies at once, 64 MiB by default; above, senders are told to come back. Reading a large one takes a
    few times its size."""
    shutdown_grace_s: int = Field(default=20, ge=1)
    """How long requests in flight may take when the process is asked to stop."""
