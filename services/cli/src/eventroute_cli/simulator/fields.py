"""Fields of a request by their kind, refused in the words of the API."""

from collections.abc import Set as AbstractSet
from typing import Any

from eventroute_cli.simulator.errors import invalid


def named(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """Read an object; one that is absent is empty."""
    value = fields.get(name, {})
    if not isinstance(value, dict):
        raise invalid(f"{name}: Input should be a valid dictionary or object")
    return value


def objects(fields: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Read a list of objects; one that is absent is empty."""
    items = fields.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid(f"{name}: Input should be a valid list of objects")
    return items


def refuse_extra(value: dict[str, Any], allowed: AbstractSet[str], where: str) -> None:
    """Refuse what the API does not know."""
    for name in value:
        if name not in allowed:
            raise invalid(f"{where}.{name}: Extra inputs are not permitted")
