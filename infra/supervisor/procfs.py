"""Which processes have something open, where Linux shows it; elsewhere, nobody. Source: proc(5)."""

from collections.abc import Collection
from pathlib import Path


def holders(targets: Collection[str]) -> list[int]:
    """Pids of the processes that have one of *targets* open, as far as this user may see.

    Args:
        targets: What a link in /proc/PID/fd says: a path, or ``socket:[INODE]``.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(link.readlink()) in targets for link in (process / "fd").iterdir()):
                found.append(int(process.name))
        except OSError:
            continue  # it ended meanwhile, or is another user's
    return sorted(found)


def listeners(port: int) -> list[int]:
    """Pids of the processes that listen on a TCP port of this machine."""
    sockets = {f"socket:[{row[9]}]" for row in _listening(port)}
    return holders(sockets) if sockets else []


def is_open_to_others(port: int) -> bool:
    """Whether anything listens on a TCP port of this machine at more than its loopback addresses."""
    return any(row[1].rpartition(":")[0] not in _LOOPBACK for row in _listening(port))


_LOOPBACK = frozenset({"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"})


def _listening(port: int) -> list[list[str]]:
    """The rows of listening sockets; state 0A is LISTEN, an address is HEX:HEX, the port last."""
    rows: list[list[str]] = []
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows += [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
    return [row for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
