"""`helm test`: passes on what works, and fails on what does not."""

import json

import pytest

from e2e.support.installation import Installation
from e2e.support.shell import Failed

# Another key than the operator's, so that the receivers can't open what is published for them.
WRONG_KEY = "c29tZWJvZHkgZWxzZSdzIGtleSBvZiAzMiBieXRlcyE="


def test_it_passes_on_a_working_installation_and_leaves_nothing(installation: Installation) -> None:
    said = installation.test()
    assert "Phase:          Succeeded" in said
    left = installation.get("pods,secrets,eventroutes", "--selector", "app.kubernetes.io/component=test")["items"]
    assert left == []


def test_it_fails_when_receivers_cannot_read_the_routes(installation: Installation) -> None:
    key = json.dumps({"stringData": {"receiver": WRONG_KEY}})
    installation.kubectl("patch", "secret", "eventroute-table-keys", "--patch", key)
    installation.kubectl("delete", "pods", "--selector", "app.kubernetes.io/component=receiver", "--wait=false")
    installation.rolled_out("receiver")
    with pytest.raises(Failed, match="eventroute-test"):
        installation.test(timeout_s=90)
    assert "503" in installation.kubectl("logs", "eventroute-test", "--container", "accepted")
