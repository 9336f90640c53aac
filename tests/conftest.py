"""What holds for all tests: unit tests open no socket, Ctrl-C is heard, and no example of hypothesis is timed."""

import signal
from pathlib import Path

import pytest
from hypothesis import settings

UNIT = Path(__file__).parent / "unit"


def pytest_configure() -> None:
    """A shell starts what runs in its background deaf to Ctrl-C, and children inherit that; tests send it to some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("patient", deadline=None)  # how long an example takes says more of the machine than of us
    settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A unit test that needs the network is in the wrong folder; only asyncio's own socket pair is let through."""
    for item in items:
        if UNIT in item.path.parents:
            item.add_marker("disable_socket")
