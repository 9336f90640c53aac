"""The audit log in this process's memory."""

import threading

from chalicelib.model import AuditEntry


class MemoryAudit:
    """Append-only; gone with the process."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []
        self._lock = threading.Lock()

    def append(self, entry: AuditEntry) -> None:
        with self._lock:
            self._entries.append(entry._replace(id=len(self._entries) + 1))

    def page(self, tenant: str, *, before_id: int | None = None, limit: int = 100) -> list[AuditEntry]:
        with self._lock:
            older = self._entries if before_id is None else self._entries[: max(0, before_id - 1)]
            return [entry for entry in reversed(older) if entry.tenant == tenant][:limit]
