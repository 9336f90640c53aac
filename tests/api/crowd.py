"""Many callers at once."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Crowd:
    """What the callers got; complete once the block has ended."""

    results: list[Any] = field(default_factory=list)


@contextmanager
def in_parallel(count: int, call: Callable[[], Any]) -> Iterator[Crowd]:
    """Run *call* in *count* threads while the block runs, and wait for them at its end."""
    crowd = Crowd()

    def work() -> None:
        crowd.results.append(call())

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield crowd
    finally:
        for thread in threads:
            thread.join()
