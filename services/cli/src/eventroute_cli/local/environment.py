"""The programs' environments in local mode: the same variables that the chart sets."""

from collections.abc import Mapping
from dataclasses import dataclass

_PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "VIRTUAL_ENV")
"""What a program may need of the user's environment. Nothing else: a stray variable must not change a local run."""


@dataclass(frozen=True)
class Wiring:
    """Where the programs of one local run find each other."""

    redis_url: str
    receiver_port: int
    receiver_probe_port: int
    worker_probe_port: int
    receiver_key: str
    worker_key: str
    claude_url: str | None
    """None = the API itself."""
    claude_key: str
    collector_url: str | None
    log_level: str = "INFO"
    models: str = ""
    """Path of the user's own `models.json`; empty = none."""

    @property
    def hooks_url(self) -> str:
        """Where webhooks are sent; a route's path follows."""
        return f"http://127.0.0.1:{self.receiver_port}/hooks"

    @property
    def receiver_probe_url(self) -> str:
        """Where the receiver tells of itself."""
        return f"http://127.0.0.1:{self.receiver_probe_port}"

    @property
    def worker_probe_url(self) -> str:
        """Where the worker tells of itself."""
        return f"http://127.0.0.1:{self.worker_probe_port}"

    def receiver(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Build the receiver's environment; it holds no Claude key."""
        return {
            **self._shared(environ),
            "EVENTROUTE_RECEIVER_HOST": "127.0.0.1",
            "EVENTROUTE_RECEIVER_PORT": str(self.receiver_port),
            "EVENTROUTE_RECEIVER_PROBE_PORT": str(self.receiver_probe_port),
            "EVENTROUTE_RECEIVER_REDIS_URL": self.redis_url,
            "EVENTROUTE_RECEIVER_TABLE_KEY": self.receiver_key,
            "EVENTROUTE_RECEIVER_LOG_LEVEL": self.log_level,
        }

    def worker(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Build the worker's environment; it holds no webhook secret."""
        claude = {"EVENTROUTE_WORKER_ANTHROPIC_BASE_URL": self.claude_url} if self.claude_url else {}
        return {
            **self._shared(environ),
            **claude,
            **({"EVENTROUTE_WORKER_MODELS_PATH": self.models} if self.models else {}),
            "EVENTROUTE_WORKER_PROBE_HOST": "127.0.0.1",
            "EVENTROUTE_WORKER_PROBE_PORT": str(self.worker_probe_port),
            "EVENTROUTE_WORKER_REDIS_URL": self.redis_url,
            "EVENTROUTE_WORKER_TABLE_KEY": self.worker_key,
            "EVENTROUTE_WORKER_ANTHROPIC_API_KEY": self.claude_key,
            "EVENTROUTE_WORKER_LOG_LEVEL": self.log_level,
            "EVENTROUTE_WORKER_PROPAGATE_TRACE": "true" if self.claude_url else "false",
            "EVENTROUTE_WORKER_OUTBOUND": '{"mode": "dev"}',  # what the user runs beside us may be reached
        }

    def _shared(self, environ: Mapping[str, str]) -> dict[str, str]:
        passed = {name: environ[name] for name in _PASSED_ON if name in environ}
        traces = {name: value for name, value in environ.items() if name.startswith("OTEL_")}
        if self.collector_url:
            # Spans are shown moments after they ended; the SDK's default delay is 5 s.
            traces |= {"OTEL_EXPORTER_OTLP_ENDPOINT": self.collector_url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
        return {**passed, **traces}
