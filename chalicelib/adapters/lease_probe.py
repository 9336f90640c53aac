"""Whether somebody works under a lease, and says that he is well."""

import time

from chalicelib.errors import Unavailable
from chalicelib.ports import Lease


class LeaseProbe:
    """`Reachable` for a process that is known by its lease alone.

    Args:
        lease: Where it is asked.
        name: Of the lease.
        good: The note of one that is well; any other says what is in the way.
    """

    def __init__(self, lease: Lease, name: str, *, good: str) -> None:
        self._lease = lease
        self._name = name
        self._good = good

    def check(self) -> None:
        tenant = self._lease.tenant(self._name, now_ms=time.time_ns() // 1_000_000)
        if tenant is None:
            message = f"No {self._name} runs"
            raise Unavailable(message)
        if tenant.note != self._good:
            message = f"{self._name}: {tenant.note or 'starting'}"
            raise Unavailable(message)
