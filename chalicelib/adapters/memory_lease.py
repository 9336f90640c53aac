"""Leases in this process: for tests, and for a service of one process."""

import threading

from chalicelib.ports import Tenant, Tenure


class MemoryLease:
    """`Lease` in a dictionary."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, Tenant]] = {}
        self._lock = threading.Lock()

    def acquire(self, name: str, holder: str, *, ttl_s: float, now_ms: int) -> Tenure | None:
        expires_ms = now_ms + round(ttl_s * 1000)
        with self._lock:
            number, held = self._held.get(name, (0, Tenant("", 0, "")))
            if held.holder != holder and now_ms < held.expires_ms <= expires_ms:
                return None
            self._held[name] = number + 1, Tenant(holder, expires_ms, "")
        return Tenure(name, number + 1)

    def renew(self, tenure: Tenure, *, ttl_s: float, now_ms: int, note: str = "") -> bool:
        with self._lock:
            number, held = self._held.get(tenure.name, (-1, Tenant("", 0, "")))
            if number != tenure.number:
                return False
            self._held[tenure.name] = number, Tenant(held.holder, now_ms + round(ttl_s * 1000), note)
        return True

    def release(self, tenure: Tenure) -> None:
        with self._lock:
            if self._held.get(tenure.name, (0, None))[0] == tenure.number:
                self._held[tenure.name] = tenure.number, Tenant("", 0, "")

    def tenant(self, name: str, *, now_ms: int) -> Tenant | None:
        _, held = self._held.get(name, (0, Tenant("", 0, "")))
        return held if held.expires_ms > now_ms else None
