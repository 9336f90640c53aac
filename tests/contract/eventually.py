"""Wait for a condition, never for a time."""

import time
from collections.abc import Callable


def eventually(condition: Callable[[], bool], deadline_s: float = 10.0) -> bool:
    """Whether *condition* comes true before the deadline; asked every 10 ms."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.01)
    return True
