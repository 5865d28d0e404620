"""The system's own resolver, set up as in a pod: its search list leads no name past the rules; one look-up is all."""

from pathlib import Path

import pytest

from support.as_in_a_pod import CannotError, look_up_as_in_a_pod

pytestmark = pytest.mark.real

RULES = {"ports": [5432], "privateHosts": ["pg.db.svc"]}
ANSWERS = {
    "pg.example.com": [["8.8.8.8", "2606:4700::1"], ["8.8.8.8", "10.0.0.5"]],
    "pg.example.com.er.svc.cluster.local": [["9.9.9.9"]],
    "only.example.com.svc.cluster.local": [["9.9.9.9"]],
    "pg.db.svc.cluster.local": [["10.0.0.9"]],
}


def test_names_are_found_where_they_lead_and_not_beside(tmp_path: Path) -> None:
    ask = ["pg.example.com", "pg.example.com", "only.example.com", "pg.db.svc"]
    try:
        public, rebound, missing, listed = look_up_as_in_a_pod(tmp_path, rules=RULES, answers=ANSWERS, ask=ask)
    except CannotError as error:
        pytest.skip(str(error))
    assert public == ("2606:4700::1 8.8.8.8", ["pg.example.com"])
    assert rebound[0].startswith("pg.example.com:5432: leads to 10.0.0.5, which is a private address")
    assert rebound[1] == ["pg.example.com"]
    assert missing[0].startswith("only.example.com:5432: its name leads nowhere")
    assert set(missing[1]) == {"only.example.com"}
    assert listed[0] == "10.0.0.9"
    assert listed[1][-1] == "pg.db.svc.cluster.local"
