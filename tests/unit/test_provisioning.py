"""What a broker is told of devices, and when: use cases and worker over memory adapters and a broker that is a dict."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import count

import pytest

from chalicelib import devices, provisioning
from chalicelib.adapters.memory_devices import MemoryCredentials, MemoryDevices
from chalicelib.adapters.memory_outbox import MemoryBrokerOutbox
from chalicelib.devices import Registered
from chalicelib.errors import Unavailable
from chalicelib.model import DeviceDraft, DeviceStatus
from chalicelib.ports import BrokerAccount, Provisioned
from chalicelib.provisioning import Records
from chalicelib.status import BROKER_ACCOUNTS
from chalicelib.wiring import Services
from mqtt_bridge import provisioning as worker
from mqtt_bridge.provisioning import Provisioning
from tests.builders import NOW_MS, memory_services

DAY_MS = 86_400_000


class DictBroker:
    """`BrokerProvisioner` that remembers accounts, and is away while `away`."""

    pause_s = 0.0

    def __init__(self) -> None:
        self.accounts: dict[int, BrokerAccount] = {}
        self.calls = 0
        self.away = False

    def put(self, accounts: Sequence[BrokerAccount]) -> Provisioned:
        self._call()
        wanted = {each.device_id: each._replace(key="") for each in accounts}
        changed = tuple(id_ for id_, each in wanted.items() if self.accounts.get(id_) != each)
        self.accounts |= wanted
        return Provisioned(changed)

    def remove(self, device_ids: Sequence[int]) -> None:
        self._call()
        for id_ in device_ids:
            self.accounts.pop(id_, None)

    def device_ids(self) -> set[int]:
        self._call()
        return set(self.accounts)

    def check(self) -> None:
        self._call()

    def close(self) -> None:
        """Nothing is held."""

    def _call(self) -> None:
        self.calls += 1
        if self.away:
            message = "away"
            raise Unavailable(message)


class Site:
    """Records whose changes go to an outbox, and a broker."""

    def __init__(self) -> None:
        self.outbox = MemoryBrokerOutbox()
        store = MemoryDevices(self.outbox)
        self.records = Records(store, MemoryCredentials(store), b"pepper of sixteen")
        self.broker = DictBroker()
        self._numbers = count()

    def register(self, tenant: str = "default", *, now_ms: int = NOW_MS) -> Registered:
        draft = DeviceDraft(tenant=tenant, name=f"d{next(self._numbers)}", device_type="sensor")
        store, credentials, pepper = self.records
        return devices.register(draft, devices=store, credentials=credentials, pepper=pepper, now_ms=now_ms)

    def rotate(self, made: Registered, *, now_ms: int, overlap_s: int = 3600) -> str:
        _, credentials, pepper = self.records
        used = made.key.split("_")[2]
        return devices.rotate_key(
            made.device.ref, used, overlap_s=overlap_s, credentials=credentials, pepper=pepper, now_ms=now_ms
        ).text

    def drain(self, now_ms: int = NOW_MS) -> Provisioned:
        return provisioning.drain(outbox=self.outbox, records=self.records, broker=self.broker, now_ms=now_ms)

    def reconcile(self, now_ms: int = NOW_MS) -> provisioning.Reconciled:
        return provisioning.reconcile(outbox=self.outbox, records=self.records, broker=self.broker, now_ms=now_ms)

    def account(self, made: Registered, *, seed: str = "", now_ms: int = NOW_MS) -> BrokerAccount:
        device = self.records.devices.get(made.device.ref)
        assert device is not None
        return provisioning.account_of(device, self.records, seed=seed, now_ms=now_ms)


@pytest.fixture
def site() -> Site:
    return Site()


def test_new_device_is_told_with_its_key_in_clear(site: Site) -> None:
    made = site.register()
    (entry,) = site.outbox.take(limit=9, hidden_s=1, now_ms=NOW_MS)
    account = site.account(made, seed=entry.seed)
    assert (account.device_id, account.enabled, account.key) == (made.device.id, True, made.key)
    assert made.key not in entry.seed


def test_newest_live_key_is_the_one_that_is_told(site: Site) -> None:
    made = site.register()
    new = site.rotate(made, now_ms=NOW_MS + 1)
    assert site.account(made, now_ms=NOW_MS + 2).key_id == new.split("_")[2]
    site.records.credentials.remove("default", new.split("_")[2])
    assert site.account(made, now_ms=NOW_MS + 3).key_id == made.key.split("_")[2]
    over = site.account(made, now_ms=NOW_MS + DAY_MS)
    assert (over.enabled, over.key_id, over.key_hash) == (False, "", "")


def test_seed_of_a_key_that_is_not_the_newest_tells_nothing(site: Site) -> None:
    made = site.register()
    (entry,) = site.outbox.take(limit=9, hidden_s=1, now_ms=NOW_MS)
    site.rotate(made, now_ms=NOW_MS + 1)
    assert site.account(made, seed=entry.seed, now_ms=NOW_MS + 2).key == ""


def test_inactive_device_is_told_as_disabled_with_its_key(site: Site) -> None:
    made = site.register()
    site.records.devices.update(replace(made.device, status=DeviceStatus.INACTIVE), now_ms=NOW_MS)
    site.drain()
    told = site.broker.accounts[made.device.id]
    assert (told.enabled, told.key_id) == (False, made.key.split("_")[2])


def test_removed_device_is_forgotten_by_the_broker(site: Site) -> None:
    made = site.register()
    site.drain()
    site.records.devices.remove(made.device.ref, now_ms=NOW_MS)
    assert site.drain().changed == (made.device.id,)
    assert site.broker.accounts == {}
    assert site.outbox.count() == 0


def test_changes_wait_while_the_broker_is_away(site: Site) -> None:
    made = site.register()
    site.broker.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            site.drain()
    site.broker.away = False
    assert site.drain().changed == (made.device.id,)


def test_nothing_changed_asks_the_broker_nothing(site: Site) -> None:
    assert site.drain() == Provisioned()
    assert site.broker.calls == 0


def test_reconcile_goes_through_all_pages_of_all_tenants(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "PAGE", 2)
    made = [site.register(tenant) for tenant in ("default", "other") for _ in range(5)]
    while site.outbox.count():
        site.drain()
    lost, disabled = made[1].device.id, made[7].device.id
    del site.broker.accounts[lost]
    site.broker.accounts[disabled] = site.broker.accounts[disabled]._replace(enabled=False)
    site.broker.accounts[4711] = BrokerAccount(4711, enabled=True, key_id="", key_hash="")
    found = site.reconcile()
    assert (found.compared, found.changed, found.removed) == (10, (lost, disabled), (4711,))
    assert not found.in_order
    assert site.reconcile().in_order


def test_reconcile_leaves_alone_what_the_outbox_will_tell(site: Site) -> None:
    site.register()
    assert site.reconcile() == provisioning.Reconciled(1, (), (), ())
    assert site.broker.accounts == {}


def test_accounts_of_all_devices_come_by_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provisioning, "PAGE", 3)
    ids = {site.register().device.id for _ in range(7)}
    pages = list(provisioning.accounts(site.records, now_ms=NOW_MS))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert {account.device_id for page in pages for account in page} == ids


@pytest.fixture
def services() -> Services:
    return memory_services(
        broker_provisioner="dynsec", broker_url="mqtt://127.0.0.1:1", broker_admin_password="not used here"
    )


def register(services: Services, name: str) -> Registered:
    return devices.register(
        DeviceDraft(name=name, device_type="sensor"),
        devices=services.devices,
        credentials=services.credentials,
        pepper=services.pepper,
        now_ms=NOW_MS,
    )


def test_worker_tells_what_was_there_and_then_what_comes(services: Services) -> None:
    broker = DictBroker()
    telling = Provisioning(services, broker)
    first = register(services, "a")
    telling.step()
    assert set(broker.accounts) == {first.device.id}
    second = register(services, "b")
    telling.step()
    assert set(broker.accounts) == {first.device.id, second.device.id}


def test_worker_asks_nobody_while_nothing_changes(services: Services) -> None:
    broker = DictBroker()
    telling = Provisioning(services, broker)
    register(services, "a")
    for _ in range(3):
        telling.step()
    calls = broker.calls
    assert [telling.step() for _ in range(20)] == [worker.POLL_S] * 20
    assert broker.calls == calls


def test_worker_compares_at_start_and_again_after_a_while(
    services: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = DictBroker()
    broker.accounts[4711] = BrokerAccount(4711, enabled=True, key_id="", key_hash="")
    telling = Provisioning(services, broker)
    telling.step()
    assert broker.accounts == {}
    assert "1 removed (4711)" in caplog.text
    assert services.counters.totals() == {(BROKER_ACCOUNTS, (("result", "removed"),)): 1}
    broker.accounts[4712] = BrokerAccount(4712, enabled=True, key_id="", key_hash="")
    telling.step()
    assert set(broker.accounts) == {4712}, "not all the time"
    monkeypatch.setattr(worker, "RECONCILE_S", 0.0)
    telling.step()
    assert broker.accounts == {}


def test_worker_waits_any_time_up_to_a_bound_that_doubles(services: Services, caplog: pytest.LogCaptureFixture) -> None:
    broker, bounds = DictBroker(), list[float]()

    def chance(bound_s: float) -> float:
        bounds.append(bound_s)
        return bound_s / 2

    telling = Provisioning(services, broker, chance=chance)
    broker.away = True
    waited = [telling.step() for _ in range(10)]
    assert bounds == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10, 10])
    assert waited == [bound / 2 for bound in bounds]
    assert len(caplog.records) == 1, "one line, not one for each attempt"
    broker.away = False
    assert telling.step() == worker.POLL_S
    broker.away = True
    register(services, "a")
    telling.step()
    assert bounds[-1] == pytest.approx(0.2), "it begins anew"
