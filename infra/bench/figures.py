"""What a benchmark finds: figures with the single runs they are the median of, and a report of them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from infra import terminal


class Target(NamedTuple):
    """What a figure should be: `at_least` is asked for, `aim` is hoped for. Source: the product's requirements."""

    at_least: float
    aim: float
    larger_is_better: bool = False

    def judge(self, value: float) -> str:
        """``aim``, ``reached`` or ``missed``."""
        sign = 1 if self.larger_is_better else -1
        if sign * value >= sign * self.aim:
            return "aim"
        return "reached" if sign * value >= sign * self.at_least else "missed"


class Figure(NamedTuple):
    """One quantity; `values` has one number for each run, or is the quantity itself when it was taken once."""

    name: str
    what: str
    unit: str
    values: tuple[float, ...]
    target: Target | None = None

    @property
    def median(self) -> float:
        """What is reported."""
        return statistics.median(self.values)

    def document(self) -> dict[str, Any]:
        """For programs."""
        found = {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "median": rounded(self.median),
            "lowest": rounded(min(self.values)),
            "highest": rounded(max(self.values)),
            "runs": [rounded(value) for value in self.values],
        }
        if self.target is not None:
            found |= {
                "at_least": self.target.at_least,
                "aim": self.target.aim,
                "verdict": self.target.judge(self.median),
            }
        return found


@dataclass(slots=True)
class Report:
    """All figures of one benchmark, the machine, and what was checked afterwards."""

    bench: str
    machine: Mapping[str, Any]
    conditions: Mapping[str, Any]
    figures: list[Figure] = field(default_factory=list)
    checks: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """For programs: everything."""
        return {
            "bench": self.bench,
            "machine": dict(self.machine),
            "conditions": dict(self.conditions),
            "figures": [figure.document() for figure in self.figures],
            "checks": self.checks,
        }

    def text(self) -> str:
        """For people: a table."""
        rows: list[tuple[str, ...]] = [("figure", "median", "lowest", "highest", "unit", "asked", "aim", "")]
        rows += [_row(figure) for figure in self.figures]
        heading, *lines = terminal.table(rows)
        machine = "\n".join(f"{name:12} {value}" for name, value in {**self.machine, **self.conditions}.items())
        checks = f"checks       {json.dumps(self.checks)}" if self.checks else ""
        return "\n".join(["", machine, checks, "", terminal.paint(heading, terminal.BOLD), *lines])


def rounded(value: float) -> float:
    """To four significant digits, whole from 1000 on: more would pretend."""
    return float(round(value)) if abs(value) >= 1000 else float(f"{value:.4g}")


def figures_of(
    runs: Sequence[Mapping[str, float]], names: Mapping[str, tuple[str, str, Target | None]]
) -> list[Figure]:
    """A figure for each of *names* (name -> what, unit, target) from runs that each measured all of them."""
    return [
        Figure(name, what, unit, tuple(run[name] for run in runs), target)
        for name, (what, unit, target) in names.items()
    ]


def _row(figure: Figure) -> tuple[str, ...]:
    numbers = (figure.median, min(figure.values), max(figure.values))
    target = figure.target
    wanted = ("", "", "")
    if target is not None:
        wanted = (f"{target.at_least:,g}", f"{target.aim:,g}", target.judge(figure.median))
    return (figure.what, *(f"{rounded(number):,g}" for number in numbers), figure.unit, *wanted)
