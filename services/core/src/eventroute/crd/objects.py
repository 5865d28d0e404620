"""The Secrets and ConfigMaps that routes refer to, reduced to what the compiler needs."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from eventroute.crd.validate import Mistake
from eventroute.secret import Secret


class ObjectKey(NamedTuple):
    """Where an object lives."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class SecretObject:
    """A Secret; its values do not print."""

    key: ObjectKey
    data: Mapping[str, Secret]


@dataclass(frozen=True, slots=True)
class ConfigMapObject:
    """A ConfigMap's texts; binary data is of no use here."""

    key: ObjectKey
    data: Mapping[str, str]


def parse_secret(data: Mapping[str, Any]) -> SecretObject | tuple[Mistake, ...]:
    """Read a `v1` Secret: `data` in base64, `stringData` as it is, the latter winning; messages never quote a value."""
    key = _key(data)
    if isinstance(key, Mistake):
        return (key,)
    values: dict[str, Secret] = {}
    mistakes: list[Mistake] = []
    for field in ("data", "stringData"):
        for name, text in _texts(data, field, mistakes).items():
            try:
                value = base64.b64decode("".join(text.split()), validate=True) if field == "data" else text.encode()
            except (binascii.Error, ValueError):
                mistakes.append(Mistake(f"{field}.{name}", "is not base64; plain text belongs into stringData"))
            else:
                values[name] = Secret(value)
    return tuple(mistakes) or SecretObject(key, values)


def parse_config_map(data: Mapping[str, Any]) -> ConfigMapObject | tuple[Mistake, ...]:
    """Read a `v1` ConfigMap."""
    key = _key(data)
    if isinstance(key, Mistake):
        return (key,)
    mistakes: list[Mistake] = []
    texts = _texts(data, "data", mistakes)
    return tuple(mistakes) or ConfigMapObject(key, texts)


def _key(data: Mapping[str, Any]) -> ObjectKey | Mistake:
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str) or not metadata["name"]:
        return Mistake("metadata.name", "is required")
    namespace = metadata.get("namespace", "default")
    if not isinstance(namespace, str):
        return Mistake("metadata.namespace", "must be a text")
    return ObjectKey(namespace, metadata["name"])


def _texts(data: Mapping[str, Any], field: str, mistakes: list[Mistake]) -> dict[str, str]:
    values = data.get(field) or {}
    if not isinstance(values, dict):
        mistakes.append(Mistake(field, "must be an object of texts"))
        return {}
    mistakes.extend(
        Mistake(f"{field}.{name}", "must be a text; put quotes around it")
        for name, value in values.items()
        if not isinstance(value, str)
    )
    return {name: value for name, value in values.items() if isinstance(value, str)}
