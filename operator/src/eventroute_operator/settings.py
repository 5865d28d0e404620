"""The operator's settings, read once from `EVENTROUTE_OPERATOR_…`."""

import re
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, Json, SecretStr

from eventroute.outbound import OutboundRules
from eventroute.policy import Policy
from eventroute.runtime.settings import Settings
from eventroute_operator.staying import GRACE_S

ScalingMode = Literal["none", "hpa", "keda"]
"""Who scales: nobody, Kubernetes alone, or KEDA."""

_LABEL: Final = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_./]*=[-A-Za-z0-9_.]*")


def _split(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


def _labels(text: object) -> object:
    if not isinstance(text, str):
        return text
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(map(_LABEL.fullmatch, parts)):
        raise ValueError("must be label=value, several with commas between them")
    return dict(part.split("=", 1) for part in parts)


class OperatorSettings(Settings):
    """Everything that an installation may change; units are in the names."""

    prefix: ClassVar[str] = "EVENTROUTE_OPERATOR_"

    redis_url: SecretStr
    """Redis or Valkey with `noeviction`; may hold a password, so it does not print."""
    receiver_table_key: SecretStr
    """Seals the receivers' route table: base64 of 32 bytes."""
    worker_table_key: SecretStr
    """Seals the workers' route table: base64 of 32 bytes, another one."""
    groups: int = Field(default=1, ge=1, le=1024)
    """Into how many groups the queue is split, for a Redis Cluster; the same number in every program."""
    namespaces: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Whose EventRoutes, Secrets and ConfigMaps are watched, with commas between them; empty = all namespaces."""
    secret_labels: Annotated[dict[str, str], BeforeValidator(_labels)] = Field(default_factory=dict)
    """Only Secrets with these labels are seen, `label=value` with commas between them; empty = all."""
    policy: Json[Policy] = Policy()
    """What routes may ask of Claude, as JSON (`eventroute.policy`); empty = anything."""
    outbound: Json[OutboundRules] = OutboundRules()
    """What sinks and tools may connect to, as the workers have it."""
    models_path: Path | None = None
    """What an installation knows of models, over what is built in: a file of the form of `eventroute/models.json`."""
    hooks_url: str | None = Field(default=None, pattern="^https?://")
    """Public base of all hooks, `https://hooks.example.com/hooks`; fills `status.url`."""
    scaling: ScalingMode = "none"
    """What scales receivers and workers; only told, in `ScalingReady`."""
    autoscalers: Annotated[tuple[str, ...], BeforeValidator(_split)] = ()
    """Names of this installation's ScaledObjects or HorizontalPodAutoscalers, with commas between them."""
    pod_namespace: str = "default"
    """The operator's own namespace, where its autoscalers are."""
    probe_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from other addresses
    """Address of the port for probes and metrics."""
    probe_port: int = Field(default=8081, ge=0, le=65535)
    """Port for probes and metrics; 0 = any."""
    resync_s: float = Field(default=60.0, ge=1)
    """How often everything is listed and compared again: what a watch lost is found so."""
    grace_s: float = Field(default=GRACE_S, ge=0)
    """For how long what a Secret proves is taken once the Secret is gone, which may be on its way back, or revoked."""
    status_interval_s: float = Field(default=30.0, ge=1)
    """How often counters and last deliveries are brought into the status of routes that had any."""
