"""The worker's settings, read once from `EVENTROUTE_WORKER_…`."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field, Json, SecretStr

from eventroute.outbound import OutboundRules
from eventroute.queue import Retention
from eventroute.runtime.settings import Settings


class WorkerSettings(Settings):
    """Everything that an installation may change; units are in the names."""

    prefix: ClassVar[str] = "EVENTROUTE_WORKER_"

    redis_url: SecretStr
    """Redis or Valkey with `noeviction`, as `eventroute.runtime.redis_url` describes; prints no password."""
    table_key: SecretStr
    """Opens the workers' route table: base64 of 32 bytes."""
    anthropic_api_key: SecretStr | None = None
    """For routes without a key of their own; without either, deliveries wait. Its file is read again on a change."""
    anthropic_base_url: str | None = Field(default=None, pattern="^https?://")
    """Where Claude is asked; absent = the public API."""
    max_jobs: int = Field(default=20, ge=1, le=1000)
    """Deliveries in hand at the same time, those included whose answers are written to local sinks."""
    concurrent_calls: int = Field(default=5, ge=1, le=1000)
    """Deliveries that wait for Claude at the same time: no more are taken than can be asked at once."""
    concurrent_sends: int = Field(default=20, ge=1, le=1000)
    """Answers under way to sinks at the same time, beside what waits for Claude."""
    most_calls: int = Field(default=100, ge=1, le=10_000)
    """Calls under way at the same time with one key and pool of models, by all workers; how many fewer is learned."""
    groups: int = Field(default=1, ge=1, le=1024)
    """Into how many groups the queue is split, for a Redis Cluster; the same number in every program."""
    max_queue_depth: int = Field(default=100_000, ge=1)
    """Deliveries of a group above which no answer is handed over to another route; as the receivers have it."""
    max_queue_bytes: int = Field(default=0, ge=0)
    """The same in bytes; 0 = any."""
    keep_payload_s: int = Field(default=3600, ge=0)
    """How long the payload of what has ended is kept, for replays, where a route does not say so."""
    keep_answer_s: int = Field(default=86_400, ge=0)
    """The same of answers."""
    keep_record_s: int = Field(default=7 * 86_400, ge=0)
    """The same of records: what became of a delivery."""
    grace_s: float = Field(default=150.0, ge=0)
    """How long running deliveries may take when the process is asked to stop: longer than a call to Claude (120 s)."""
    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from other addresses
    """Address of the port for probes and metrics."""
    probe_port: int = Field(default=8081, ge=0, le=65535)
    """Port for probes and metrics; 0 = any."""
    models_path: Path | None = None
    """What an installation knows of models, over what is built in: a file of the form of `eventroute/models.json`."""
    redis_spans: bool = True
    """Show what a run reads and writes in Redis in its trace, where traces are exported; values are never shown."""
    propagate_trace: bool = False
    """Send `traceparent` to Claude: the trace id then leaves the installation."""
    outbound: Json[OutboundRules] = OutboundRules()
    """What sinks and tools may connect to, as JSON (`eventroute.outbound`); empty = the public internet, on 443."""

    @property
    def retention(self) -> Retention:
        """Put the three together, in milliseconds."""
        return Retention(self.keep_payload_s * 1000, self.keep_answer_s * 1000, self.keep_record_s * 1000)
