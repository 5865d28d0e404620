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
    """Queued jobs above which senders are told to come back: 2 kB bodies make this about 500 MB of Redis."""
    read_deadline_s: float = Field(default=10.0, gt=0)
    """How long a sender may take for its body."""
    shutdown_grace_s: int = Field(default=20, ge=1)
    """How long requests in flight may take when the process is asked to stop."""
