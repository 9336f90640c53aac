"""How a benchmark is run."""

from datetime import UTC, datetime
from typing import Any, NamedTuple


class Options(NamedTuple):
    """How often and how long.

    Attributes:
        runs: The figure is the median of so many.
        seconds: Of each run under load.
        points: How many are stored before reads are measured, where that can be chosen.
        quick: With as little data as possible, to see that the benchmark works; the figures mean nothing.
    """

    runs: int = 5
    seconds: float = 5.0
    quick: bool = False
    points: int = 10_000_000

    def conditions(self, **more: Any) -> dict[str, Any]:
        """What the report says of them."""
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        return {"taken_at": taken_at, **self._asdict(), **more}
