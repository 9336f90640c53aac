"""The scheduler: `python -m infra.local.scheduler`, one process of `python3 -m infra up`."""

import os

from app import app
from infra.local.child import Child
from infra.local.opening import open_services
from infra.local.per_thread import per_thread
from infra.local.schedules import run_all, schedules_of


def main() -> int:
    """Run the app's schedules until told to stop; the exit code is 0 after a drain."""
    child = Child(os.environ)
    schedules = schedules_of(per_thread(app))
    open_services()
    child.ready()
    run_all(schedules, child.draining)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
