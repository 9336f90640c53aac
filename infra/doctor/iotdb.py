"""Checks of IoTDB: whether it answers, and whether its settings can lose readings or let strangers in."""

from collections.abc import Iterator

from chalicelib.errors import Unavailable
from chalicelib.ports import ReadingStore
from infra.doctor.finding import Finding, ok, warning, wrong

SETTINGS = "correct its iotdb-system.properties and start IoTDB again; docs/iotdb.md says why"


def answers(readings: ReadingStore, where: str) -> Iterator[Finding]:
    """Ask the store at *where* for itself and its settings."""
    try:
        readings.check()
        risks = readings.risks()
    except Unavailable as error:
        yield wrong("iotdb", f"{where}: {error.message}", "correct IOTDB_HOST, IOTDB_USER, IOTDB_PASSWORD, or start it")
        return
    for risk in risks:
        yield warning("iotdb", risk, SETTINGS)
    if not risks:
        yield ok("iotdb", f"answers at {where}, and its settings lose nothing")


def reach(port: int, *, open_to_others: bool) -> Finding:
    """Whether a server of this machine can be reached from others."""
    if open_to_others:
        sentence = f"IoTDB listens on every interface of this machine, port {port} and its inner ports"
        return warning("iotdb", sentence, "keep a firewall in front of it: 2.0.1-beta cannot be told otherwise")
    return ok("iotdb", f"port {port} is open to this machine only")
