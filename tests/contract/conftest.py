"""Stores that several contract tests share. Fixtures of one port stay in that port's test file."""

from pathlib import Path

import pytest

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.adapters.sqlite_readings import SqliteReadings
from chalicelib.ports import ReadingStore


@pytest.fixture(params=["memory", "sqlite"])
def reading_store(request: pytest.FixtureRequest, tmp_path: Path) -> ReadingStore:
    """An empty reading store of every technology."""
    if request.param == "memory":
        return MemoryReadings()
    return SqliteReadings(tmp_path / "telemetry.db")
