"""Which files are changed, and which tests are to notice: those that say most in the shortest time come first."""

from pathlib import Path
from typing import Final, NamedTuple

from mutants.change import Change
from mutants.lua import changes_of_lua
from mutants.python import changes_of_python

ROOT: Final = Path(__file__).parents[2]

_CORE: Final = "services/core/src/eventroute/"
_WORKER: Final = "services/worker/src/eventroute_worker/"
_RECEIVER: Final = "services/receiver/src/eventroute_receiver/"


_QUEUE: Final = "tests/integration/queue/"
_RUNS: Final = "tests/integration/worker/"
_RECEIPTS: Final = "tests/integration/receiver/"
_RUNTIME: Final = "tests/integration/runtime/"

_OF_SCRIPTS: Final = ("tests/unit/core/test_queue_keys.py", f"{_QUEUE}test_golden_calls.py")
_OF_THE_QUEUE: Final = (
    *_OF_SCRIPTS,
    f"{_RUNS}test_golden_runs.py",
    f"{_QUEUE}test_[!mo]*.py",
    f"{_RUNS}test_run.py",
    f"{_RUNS}test_settling.py",
    f"{_RUNS}test_history_order.py",
    f"{_RUNS}test_resume.py",
    f"{_RUNS}test_kept_for.py",
    f"{_RUNS}test_leases.py",
    f"{_RUNS}test_memory_full.py",
    f"{_RUNS}test_deleted_route.py",
    f"{_RUNS}test_standing_trouble.py",
    f"{_RUNS}test_told_by_the_keeper.py",
    f"{_RUNS}test_pick_up.py",
    f"{_RUNS}test_fair_slots.py",
    f"{_QUEUE}test_*.py",
)
_OF_ADMISSION: Final = (
    *_OF_SCRIPTS,
    f"{_QUEUE}test_new_admission.py",
    f"{_RECEIPTS}test_rate_limit.py",
    f"{_RECEIPTS}test_queue_full.py",
    f"{_RECEIPTS}test_duplicate_delivery.py",
    f"{_RECEIPTS}test_redelivered_dead_letter.py",
    f"{_RECEIPTS}test_accepted_delivery.py",
    f"{_RECEIPTS}test_un*.py",
    f"{_RECEIPTS}test_order.py",
    f"{_RECEIPTS}test_memory_full.py",
)


class Part(NamedTuple):
    """Files that share their tests."""

    files: tuple[str, ...]
    """Patterns, from the root of the tree."""
    tests: tuple[str, ...]
    """Patterns in the order in which they run; what two of them name is run once."""


PARTS: Final = (
    Part(
        (f"{_CORE}queue/lua/admit.lua", f"{_CORE}queue/admission.py"),
        (*_OF_ADMISSION, f"{_QUEUE}test_[!mo]*.py", f"{_QUEUE}test_*.py"),
    ),
    Part((f"{_CORE}queue/lua/glance.lua",), (*_OF_SCRIPTS, "tests/integration/desk/test_*.py")),
    Part(
        (
            f"{_CORE}queue/lua/[!ag]*.lua",
            f"{_CORE}queue/lua/a[!d]*.lua",
            f"{_CORE}queue/work.py",
            f"{_CORE}queue/upkeep.py",
            f"{_CORE}queue/ledger.py",
        ),
        _OF_THE_QUEUE,
    ),
    Part(
        (f"{_CORE}runtime/link.py", f"{_CORE}runtime/scripts.py"),
        (
            "tests/unit/core/test_link_told_exactly.py",
            "tests/unit/core/test_group_links.py",
            "tests/unit/core/test_what_redis_said.py",
            "tests/unit/core/test_script_library.py",
            f"{_RECEIPTS}test_link_told.py",
            f"{_RECEIPTS}test_replicas_confirm.py",
            f"{_RECEIPTS}test_redis_*.py",
            f"{_RECEIPTS}test_slow_network.py",
            f"{_RUNTIME}test_redis_*.py",
            f"{_RUNS}test_scripts.py",
            f"{_RUNS}test_redis_*.py",
            f"{_RUNS}test_refused_end.py",
        ),
    ),
    Part((f"{_CORE}outbound/*.py",), ("tests/unit/outbound/test_[!a]*.py", "tests/unit/outbound/test_a*.py")),
    Part((f"{_WORKER}outbound.py", f"{_WORKER}resolve.py"), ("tests/integration/outbound/test_*.py",)),
    Part(
        (f"{_WORKER}run.py", f"{_WORKER}history.py"),
        (
            f"{_RUNS}test_golden_runs.py",
            f"{_RUNS}test_run.py",
            f"{_RUNS}test_history_order.py",
            f"{_RUNS}test_resume.py",
            f"{_RUNS}test_kept_for.py",
            f"{_RUNS}test_attempt_span.py",
            f"{_RUNS}test_early_end.py",
            f"{_RUNS}test_trace.py",
            f"{_RUNS}test_[!cp]*.py",
            f"{_RUNS}test_pa*.py",
        ),
    ),
    Part(
        (f"{_WORKER}worker.py", f"{_WORKER}slots.py"),
        (
            "tests/unit/worker/test_worker_loop.py",
            f"{_RUNS}test_pick_up.py",
            f"{_RUNS}test_settling.py",
            f"{_RUNS}test_leases.py",
            f"{_RUNS}test_losses.py",
            f"{_RUNS}test_drain.py",
            f"{_RUNS}test_fair_slots.py",
            f"{_RUNS}test_statistics.py",
            f"{_RUNS}test_[!c]*.py",
        ),
    ),
    Part(
        (f"{_WORKER}keeper.py", f"{_WORKER}troubles.py"),
        (
            "tests/unit/worker/test_keeper_told_exactly.py",
            "tests/unit/worker/test_troubles.py",
            f"{_RUNS}test_told_by_the_keeper.py",
            f"{_RUNS}test_keeper_looks.py",
            f"{_RUNS}test_deleted_route.py",
            f"{_RUNS}test_standing_trouble.py",
            f"{_RUNS}test_kept_for.py",
            f"{_RUNS}test_memory_full.py",
            f"{_RUNS}test_[klmrst]*.py",
            f"{_QUEUE}test_[!mo]*.py",
        ),
    ),
    Part((f"{_WORKER}spending.py",), (f"{_RUNS}test_budget.py", f"{_QUEUE}test_budgets.py")),
    Part((f"{_WORKER}fault.py",), ("tests/unit/worker/test_claude_errors.py", f"{_RUNS}test_claude.py")),
    Part(
        (f"{_CORE}models.py", f"{_CORE}answer_schema.py"),
        (
            "tests/unit/core/test_models.py",
            "tests/unit/core/test_answer_schema.py",
            "tests/unit/compile/test_model_settings.py",
        ),
    ),
    Part(
        tuple(f"{_WORKER}{name}.py" for name in ("answer", "caching", "claude", "next_call", "pricing")),
        (
            "tests/unit/worker/test_answer_read.py",
            "tests/unit/worker/test_caching.py",
            "tests/unit/worker/test_claude_errors.py",
            "tests/unit/worker/test_pricing.py",
            f"{_RUNS}test_structured_answer.py",
            f"{_RUNS}test_fallback.py",
            f"{_RUNS}test_claude.py",
            f"{_RUNS}test_run.py",
        ),
    ),
    Part(
        (f"{_RECEIVER}admit.py", f"{_RECEIVER}intake.py"),
        (
            "tests/unit/receiver/test_intake.py",
            *_OF_ADMISSION,
            f"{_RECEIPTS}test_redaction.py",
            f"{_RECEIPTS}test_redis_refuses.py",
            f"{_RECEIPTS}test_probe_port.py",
            f"{_RECEIPTS}test_statistics.py",
            f"{_RECEIPTS}test_batch_answer.py",
        ),
    ),
)


def files_of(part: Part) -> list[str]:
    """List a part's files."""
    return _found(part.files)


def noticed_by(part: Part) -> tuple[str, ...]:
    """List a part's files of tests, in their order."""
    return tuple(_found(part.tests))


def changes_of(path: str) -> list[Change]:
    """List all changes of a file."""
    source = (ROOT / path).read_text(encoding="utf-8")
    return changes_of_lua(path, source) if path.endswith(".lua") else changes_of_python(path, source)


def _found(patterns: tuple[str, ...]) -> list[str]:
    names = (each.relative_to(ROOT).as_posix() for pattern in patterns for each in sorted(ROOT.glob(pattern)))
    return list(dict.fromkeys(names))
