"""`helm uninstall`: what can be made again goes, what cannot stays, and a new release takes it up."""

from e2e.support.installation import TRIAL, Installation, until
from e2e.support.traffic import PROVIDER

OURS = "app.kubernetes.io/name=eventroute"
KEPT = ["secret/eventroute-table-keys", "secret/eventroute-valkey"]


def objects(installation: Installation) -> list[str]:
    """List what the chart's labels mark, of every kind that the namespace can hold, and of the cluster's roles."""
    kinds = installation.cluster.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "--output=name")
    mine = installation.kubectl("get", ",".join(kinds.split()), "--selector", OURS, "--output=name")
    roles = installation.cluster.kubectl("get", "clusterroles,clusterrolebindings", "-l", OURS, "--output=name")
    return sorted([*mine.split(), *(name for name in roles.split() if installation.namespace in name)])


def secrets(installation: Installation) -> list[dict[str, str]]:
    """Read the Secrets that stay."""
    return [each["data"] for each in installation.get(*KEPT)["items"]]


def test_what_cannot_be_made_again_stays_and_a_new_release_takes_it_up(installation: Installation) -> None:
    installation.add_route("triage", PROVIDER)
    keys = secrets(installation)
    assert {"deployment.apps/eventroute-worker", "statefulset.apps/eventroute-valkey", *KEPT} <= {
        *objects(installation)
    }
    installation.uninstall()
    until(lambda: objects(installation) == KEPT, "nothing but the kept Secrets")
    assert secrets(installation) == keys
    installation.install(TRIAL)
    assert secrets(installation) == keys
    installation.wait_ready("triage")  # the definition stayed, and with it the route
    delivery = installation.send("triage", PROVIDER).json()["delivery"]
    assert installation.answer(delivery)["outcome"] == "succeeded"
