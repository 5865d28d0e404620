"""The CustomResourceDefinition: names, columns and schema of EventRoutes, as `kubectl apply` takes it."""

from typing import Any, Final

import yaml

from eventroute.crd.status import EventRouteStatus
from eventroute.crd.structural import structural_schema
from eventroute.crd.v1alpha1 import GROUP, KIND, EventRoute, EventRouteSpec

PLURAL: Final = "eventroutes"
NAME: Final = f"{PLURAL}.{GROUP}"

_HEAD: Final = "# Generated from services/core/src/eventroute/crd by `make generate`; do not edit.\n"
_READY: Final = '.status.conditions[?(@.type=="Ready")]'

COLUMNS: Final = (
    {"name": "Provider", "type": "string", "jsonPath": ".spec.provider", "description": "Who sends."},
    {"name": "Path", "type": "string", "jsonPath": ".status.path", "description": "Where it is received."},
    {"name": "Model", "type": "string", "jsonPath": ".status.model", "description": "Who answers."},
    {"name": "Ready", "type": "string", "jsonPath": f"{_READY}.status", "description": "Whether it is served."},
    {"name": "Reason", "type": "string", "jsonPath": f"{_READY}.reason", "description": "Why, or why not."},
    {
        "name": "Last-Event",
        "type": "date",
        "jsonPath": ".status.lastDelivery.time",
        "description": "Time since the newest delivery.",
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation."},
    {
        "name": "Suspended",
        "type": "string",
        "jsonPath": ".spec.suspend.mode",
        "priority": 1,
        "description": "Whether nothing is started, and what becomes of events.",
    },
    {
        "name": "Dead",
        "type": "integer",
        "jsonPath": ".status.counts.dead",
        "priority": 1,
        "description": "Deliveries that were given up.",
    },
    {
        "name": "Generation",
        "type": "integer",
        "jsonPath": ".metadata.generation",
        "priority": 1,
        "description": "Version of the spec.",
    },
)
"""What `kubectl get er` shows; those of priority 1 with `-o wide`."""


def build_definition() -> dict[str, Any]:
    """Build the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/name": "eventroute"}},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": "eventroute",
                "shortNames": ["er"],
                "categories": ["agents"],
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": list(COLUMNS),
                    "schema": {"openAPIV3Schema": build_schema()},
                }
            ],
        },
    }


def build_schema() -> dict[str, Any]:
    """Build the schema of the whole object."""
    return {
        "description": EventRoute.__doc__,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": EventRoute.model_fields["api_version"].description},
            "kind": {"type": "string", "description": EventRoute.model_fields["kind"].description},
            "metadata": {"type": "object"},
            "spec": structural_schema(EventRouteSpec, "spec"),
            "status": structural_schema(EventRouteStatus, "status"),
        },
    }


def write_definition() -> str:
    """Write the CustomResourceDefinition as YAML, the same for the same models."""
    return _HEAD + yaml.dump(build_definition(), Dumper=_PlainDumper, sort_keys=False, width=120, allow_unicode=True)


class _PlainDumper(yaml.SafeDumper):
    """Writes repeated values out: an anchor is a riddle to whoever reads a manifest."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  # PyYAML's signature
        return True
