"""A resource that is newer than the operator: the route says what is not understood, and nobody else minds."""

import json

from support.control_plane import SECRET, ControlPlane, Namespace
from support.waiting import until

CRD = "eventroutes.eventroute.dev"
SCHEMA = "/spec/versions/0/schema/openAPIV3Schema/properties"


def patch_definition(plane: ControlPlane, *operations: dict[str, object]) -> None:
    plane.api.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(operations))


async def test_a_field_of_a_newer_resource_is_named(plane: ControlPlane, team: Namespace) -> None:
    team.apply_secret("hook", {"secret": SECRET})
    team.apply_route("plain")
    field = {"type": "string", "description": "Of a version to come."}
    patch_definition(plane, {"op": "add", "path": f"{SCHEMA}/spec/properties/novel", "value": field})
    try:

        def is_accepted() -> bool:
            return "novel" in team.apply_route("new", novel="yes")["spec"]

        await until(is_accepted)
        ready = await team.until_not_ready("InvalidSpec", "new")
        assert "spec.novel" in ready["message"]
        assert team.condition("SecretsResolved", "new")["status"] == "Unknown"
        await team.until_ready("plain")
    finally:
        patch_definition(plane, {"op": "remove", "path": f"{SCHEMA}/spec/properties/novel"})
