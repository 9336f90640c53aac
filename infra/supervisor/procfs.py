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
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            rows = [line.split() for line in table.read_text(encoding="ascii").splitlines()[1:]]
            sockets |= {f"socket:[{row[9]}]" for row in rows if _is_listening(row[3], row[1], port)}
    return holders(sockets) if sockets else []


def _is_listening(state: str, address: str, port: int) -> bool:
    """State 0A is LISTEN; an address is HEX:HEX, the port last."""
    return state == "0A" and int(address.rpartition(":")[2], 16) == port
