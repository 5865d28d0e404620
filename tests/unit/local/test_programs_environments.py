"""What a local run tells its programs, read by the programs' own settings."""

from eventroute.outbound import read_url
from eventroute_cli.local.environment import Wiring
from eventroute_worker.settings import WorkerSettings

WIRING = Wiring(
    redis_url="redis://127.0.0.1:6379/0",
    receiver_port=8080,
    receiver_probe_port=8081,
    worker_probe_port=8082,
    receiver_key="a2V5",
    worker_key="a2V5",
    claude_url=None,
    claude_key="sk",
    collector_url=None,
)


def test_sinks_and_tools_of_a_local_run_may_reach_what_runs_beside_it() -> None:
    rules = WorkerSettings.load(WIRING.worker({})).outbound
    assert read_url("http://localhost:8000/hook", rules).endpoint.is_local


def test_nothing_of_the_users_environment_reaches_a_program_that_does_not_need_it() -> None:
    said = {"PATH": "/bin", "HTTPS_PROXY": "http://proxy:3128", "EVENTROUTE_WORKER_OUTBOUND": "{}"}
    environment = WIRING.worker(said)
    assert environment["PATH"] == "/bin"
    assert "HTTPS_PROXY" not in environment
    assert WorkerSettings.load(environment).outbound.mode == "dev"
