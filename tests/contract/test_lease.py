"""Leases: one holder at a time, and nobody waits longer than its time for one that is gone, in every technology."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.adapters.dynamo_lease import DynamoLease
from chalicelib.adapters.lease_probe import LeaseProbe
from chalicelib.adapters.memory_lease import MemoryLease
from chalicelib.adapters.sqlite_lease import SqliteLease
from chalicelib.errors import Unavailable
from chalicelib.ports import Lease, Tenant, Tenure
from tests.contract.dynamo_tables import SEMANTICS, Tables
from tests.contract.processes import acquire, in_processes

NOW_MS = 1_800_000_000_000
TTL_S = 3.0
NEVER_MS = 4_000_000_000_000


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def lease(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Iterator[Lease]:
    if request.param in SEMANTICS:
        yield DynamoLease(tables.new(request.param))
        return
    if request.param == "memory":
        yield MemoryLease()
        return
    adapter = SqliteLease(tmp_path / "queue.db")
    yield adapter
    adapter.database.close()


def begun(lease: Lease, holder: str = "one", *, name: str = "bridge", now_ms: int = NOW_MS) -> Tenure:
    tenure = lease.acquire(name, holder, ttl_s=TTL_S, now_ms=now_ms)
    assert tenure is not None
    return tenure


def asks(lease: Lease, holder: str, now_ms: int) -> Tenure | None:
    return lease.acquire("bridge", holder, ttl_s=TTL_S, now_ms=now_ms)


def test_another_waits_until_the_time_of_the_holder_is_over(lease: Lease) -> None:
    begun(lease)
    assert asks(lease, "two", NOW_MS + 2999) is None
    taken = asks(lease, "two", NOW_MS + 3000)
    assert taken is not None
    assert asks(lease, "one", NOW_MS + 3001) is None


def test_names_do_not_touch_each_other(lease: Lease) -> None:
    begun(lease)
    assert begun(lease, "two", name="other").name == "other"


def test_numbers_grow_with_every_tenure(lease: Lease) -> None:
    first, again = begun(lease), begun(lease)
    lease.release(again)
    third = begun(lease, "two")
    assert first.number < again.number < third.number


def test_a_renewed_lease_lasts_from_the_renewal_on(lease: Lease) -> None:
    tenure = begun(lease)
    assert lease.renew(tenure, ttl_s=TTL_S, now_ms=NOW_MS + 2000)
    assert asks(lease, "two", NOW_MS + 4999) is None
    assert asks(lease, "two", NOW_MS + 5000) is not None


def test_a_late_renewal_counts_when_nobody_else_has_begun(lease: Lease) -> None:
    tenure = begun(lease)
    assert lease.renew(tenure, ttl_s=TTL_S, now_ms=NOW_MS + 60_000)
    assert asks(lease, "two", NOW_MS + 60_001) is None


def test_who_was_replaced_can_neither_renew_nor_release(lease: Lease) -> None:
    old = begun(lease)
    new = begun(lease, "two", now_ms=NOW_MS + 3000)
    assert not lease.renew(old, ttl_s=TTL_S, now_ms=NOW_MS + 3001)
    lease.release(old)
    assert lease.renew(new, ttl_s=TTL_S, now_ms=NOW_MS + 3002)


def test_a_released_lease_is_free_at_once(lease: Lease) -> None:
    lease.release(begun(lease))
    assert lease.tenant("bridge", now_ms=NOW_MS) is None
    assert asks(lease, "two", NOW_MS) is not None


def test_a_clock_that_stepped_back_does_not_lock_everybody_out(lease: Lease) -> None:
    begun(lease, now_ms=NOW_MS + 3_600_000)
    assert asks(lease, "two", NOW_MS) is not None


def test_a_lease_that_nobody_ever_had_cannot_be_renewed(lease: Lease) -> None:
    assert not lease.renew(Tenure("bridge", 0), ttl_s=TTL_S, now_ms=NOW_MS)
    assert not lease.renew(Tenure("bridge", 1), ttl_s=TTL_S, now_ms=NOW_MS)


def test_everybody_sees_who_holds_it_and_what_he_says(lease: Lease) -> None:
    tenure = begun(lease)
    lease.renew(tenure, ttl_s=TTL_S, now_ms=NOW_MS, note="connected")
    assert lease.tenant("bridge", now_ms=NOW_MS) == Tenant("one", NOW_MS + 3000, "connected")
    assert lease.tenant("bridge", now_ms=NOW_MS + 3000) is None
    assert begun(lease, "two", now_ms=NOW_MS + 3000)
    assert lease.tenant("bridge", now_ms=NOW_MS + 3000) == Tenant("two", NOW_MS + 6000, "")


def test_the_probe_tells_a_good_holder_from_none_and_from_one_in_trouble(lease: Lease) -> None:
    probe = LeaseProbe(lease, "bridge", good="connected")
    with pytest.raises(Unavailable, match="No bridge runs"):
        probe.check()
    tenure = begun(lease)
    lease.renew(tenure, ttl_s=TTL_S, now_ms=NEVER_MS, note="the broker is away")
    with pytest.raises(Unavailable, match="bridge: the broker is away"):
        probe.check()
    lease.renew(tenure, ttl_s=TTL_S, now_ms=NEVER_MS, note="connected")
    probe.check()


def test_of_several_processes_that_ask_at_once_one_gets_it(tmp_path: Path) -> None:
    found = in_processes(4, acquire, str(tmp_path / "queue.db"), NOW_MS)
    assert sum(found) == 1
