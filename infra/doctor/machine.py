"""Checks of the machine: Python and its packages, SQLite, file descriptors, the clock."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from infra.doctor.finding import Finding, note, ok, warning, wrong

OLDEST_PYTHON = (3, 11)
OLDEST_SQLITE = (3, 37)
"""The first with STRICT tables. Source: https://www.sqlite.org/stricttables.html."""
FEWEST_DESCRIPTORS = 512
CLOCK_SLACK_S = 300
REINSTALL = "rm -r .venv && python3 -m infra up"


def python(version: Sequence[int]) -> Finding:
    """Whether Python is new enough."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_PYTHON:
        return wrong("python", f"Python {text} is too old", "install Python 3.11 or newer, then remove .venv")
    return ok("python", f"Python {text}")


def packages(pins: Sequence[Path], installed: Callable[[str], str | None]) -> Iterator[Finding]:
    """Whether what the requirement files *pins* say is what is *installed*, which gives a version or None."""
    lines = [line for file in pins for line in file.read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    wanted = [line.partition(";")[0].strip().split("==") for line in lines]
    pairs = [(words[0], words[1]) for words in wanted if len(words) == 2]
    conditional = {line.split("==")[0] for line in lines if ";" in line}
    differing = 0
    for name, version in pairs:
        found = installed(name)
        if found == version or (found is None and name in conditional):
            continue
        differing += 1
        yield wrong("packages", f"{name} {version} is pinned, {found or 'nothing'} is installed", REINSTALL)
    if not differing:
        yield ok("packages", f"{len(pairs)} packages as they are pinned")


def tools(which: Callable[[str], str | None]) -> Finding:
    """Programs that are good to have."""
    if which("redis-server") is None:
        sentence = "redis-server is not installed; only the tests of shared limits need it here"
        return note("tools", sentence, "apt-get install redis-server")
    return ok("tools", "redis-server is there for the tests")


def sqlite(version: Sequence[int]) -> Finding:
    """Whether SQLite is new enough."""
    text = ".".join(map(str, version))
    if tuple(version[:2]) < OLDEST_SQLITE:
        return wrong("sqlite", f"SQLite {text} is too old, it takes 3.37", "use the Python of a newer system")
    return ok("sqlite", f"SQLite {text}")


def descriptors(hard: int, wanted: int) -> Finding:
    """Whether a process may open enough files and connections; *hard* is below 0 for no limit.

    Args:
        hard: What ``ulimit -Hn`` says; the front raises its soft limit up to it.
        wanted: What the front takes when it may.
    """
    if hard < 0 or hard >= wanted:
        return ok("descriptors", f"{'any number of' if hard < 0 else hard} open files, {wanted} are enough")
    remedy = f"ulimit -Hn {wanted} as root before the start, or LimitNOFILE={wanted} in the unit of systemd"
    if hard < FEWEST_DESCRIPTORS:
        return wrong("descriptors", f"a process may open {hard} files, which is too few to serve a fleet", remedy)
    return warning("descriptors", f"a process may open {hard} files: fewer connections than the usual {wanted}", remedy)


def clock(now_s: float, newest_s: float) -> Finding:
    """Whether the clock is behind: *newest_s* is when the newest file was written, by the same clock."""
    behind_s = newest_s - now_s
    if behind_s > CLOCK_SLACK_S:
        sentence = f"the clock is at least {behind_s / 3600:.1f} h behind: files here were written later than now"
        return wrong("clock", sentence, "timedatectl set-ntp true")
    return ok("clock", "not behind the files here")
