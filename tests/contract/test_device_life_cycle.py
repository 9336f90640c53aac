"""Devices and credentials against a model: any sequence of calls, over two repository objects on one backend."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from chalicelib.errors import AppError
from chalicelib.model import Credential, CredentialKind, Device, DeviceRef, DeviceStatus
from chalicelib.ports import DeviceFilter
from tests.contract.device_records import Records, draft, key, open_records, token
from tests.contract.dynamo_tables import Tables

TENANTS = ("default", "other")
MAX_ALIVE = 2

tenants = st.sampled_from(TENANTS)
names = st.sampled_from(["pump", "Pump", "fan"])
picks = st.integers(0, 1000)


def refusal(call: Callable[[], object]) -> str | None:
    """The code of the published error that *call* ends in, or None when it ends well."""
    try:
        call()
    except AppError as error:
        return error.code
    return None


class LifeCycle(RuleBasedStateMachine):
    """Each rule does one thing to the repositories and to the model; the invariants compare what can be read."""

    def __init__(self, adapter: str, folder: Path, tables: Tables) -> None:
        super().__init__()
        first = open_records(adapter, folder, tables)
        self.objects = (first, first.again())
        self.turn = 0
        self.now_ms = 1000
        self.devices: dict[int, Device] = {}
        self.credentials: dict[str, Credential] = {}
        self.removed: list[tuple[int, int, DeviceRef]] = []
        self.ever: dict[int, Device] = {}
        self.ever_keys: list[str] = []

    def next(self) -> Records:
        """The object that does the next call: they take turns."""
        self.turn ^= 1
        return self.objects[self.turn]

    def name_taken(self, tenant: str, name: str) -> bool:
        """Whether a device of the model has this name."""
        return any((each.tenant, each.name) == (tenant, name) for each in self.devices.values())

    def pick(self, number: int) -> Device:
        """One of the devices that were ever added, in its last state."""
        return list(self.ever.values())[number % len(self.ever)]

    @rule(step_ms=st.integers(0, 50))
    def wait(self, step_ms: int) -> None:
        """Time passes."""
        self.now_ms += step_ms

    @rule(tenant=tenants, name=names)
    def register(self, tenant: str, name: str) -> None:
        """Add a device with its first key."""
        first = key(tenant, created_ms=self.now_ms)
        records = self.next()
        self.ever_keys.append(first.id)
        if self.name_taken(tenant, name):
            assert refusal(lambda: records.devices.add(draft(name, tenant), first, now_ms=self.now_ms)) == "name_taken"
            return
        device = records.devices.add(draft(name, tenant), first, now_ms=self.now_ms)
        assert device.id > max(self.ever, default=0)
        self.devices[device.id] = self.ever[device.id] = device
        self.credentials[first.id] = replace(first, device_id=device.id)

    @precondition(lambda self: self.ever)
    @rule(number=picks, name=names, status=st.sampled_from(DeviceStatus), behind=st.integers(0, 1))
    def update(self, number: int, name: str, status: DeviceStatus, behind: int) -> None:
        """Change a device, sometimes on the ground of an old version."""
        device = self.pick(number)
        wanted = replace(device, name=name, status=status, version=device.version - behind)
        records = self.next()
        code = refusal(lambda: records.devices.update(wanted, now_ms=self.now_ms))
        if device.id not in self.devices:
            assert code == "not_found"
        elif behind:
            assert code == "stale_version"
        elif name != device.name and self.name_taken(device.tenant, name):
            assert code == "name_taken"
        else:
            assert code is None
            changed = replace(wanted, version=device.version + 1, updated_ms=self.now_ms)
            self.devices[device.id] = self.ever[device.id] = changed

    @precondition(lambda self: self.ever)
    @rule(number=picks, tenant=tenants)
    def remove(self, number: int, tenant: str) -> None:
        """Remove a device, sometimes in the name of another tenant."""
        device = DeviceRef(tenant, self.pick(number).id)
        exists = device.id in self.devices and self.devices[device.id].tenant == tenant
        assert self.next().devices.remove(device, now_ms=self.now_ms) == exists
        if exists:
            del self.devices[device.id]
            self.removed.append((self.now_ms, device.id, device))
            self.credentials = {id_: each for id_, each in self.credentials.items() if each.device_id != device.id}

    @rule()
    def forget(self) -> None:
        """The oldest half of the removed devices is purged."""
        waiting = sorted(self.removed)
        half = len(waiting) // 2
        self.next().devices.forget([device for _, _, device in waiting[:half]])
        self.removed = waiting[half:]

    @precondition(lambda self: self.ever)
    @rule(number=picks, lives_ms=st.none() | st.integers(0, 50))
    def add_key(self, number: int, lives_ms: int | None) -> None:
        """Issue one more key of a device."""
        device = self.pick(number)
        fresh = key(device.tenant, device_id=device.id, created_ms=self.now_ms)
        fresh = replace(fresh, expires_ms=None if lives_ms is None else self.now_ms + lives_ms)
        alive = sum(each.device_id == device.id and each.alive(self.now_ms) for each in self.credentials.values())
        expected = "too_many_keys" if alive >= MAX_ALIVE else None
        self.add(fresh, expected if device.id in self.devices else "not_found")

    @rule(tenant=tenants, name=names, lives_ms=st.none() | st.integers(0, 50))
    def add_token(self, tenant: str, name: str, lives_ms: int | None) -> None:
        """Issue a token."""
        tokens = (each for each in self.credentials.values() if (each.tenant, each.device_id) == (tenant, None))
        taken = any(each.name == name and each.alive(self.now_ms) for each in tokens)
        expires_ms = None if lives_ms is None else self.now_ms + lives_ms
        self.add(token(name, tenant, expires_ms=expires_ms), "name_taken" if taken else None)

    def add(self, credential: Credential, expected: str | None) -> None:
        """Add a credential, which is to end in the refusal *expected*."""
        records = self.next()
        self.ever_keys.append(credential.id)
        code = refusal(lambda: records.credentials.add(credential, now_ms=self.now_ms, max_alive=MAX_ALIVE))
        assert code == expected
        if expected is None:
            self.credentials[credential.id] = credential

    @precondition(lambda self: self.ever_keys)
    @rule(number=picks, in_ms=st.integers(-50, 50))
    def expire(self, number: int, in_ms: int) -> None:
        """Shorten the life of a credential."""
        key_id, at_ms = self.ever_keys[number % len(self.ever_keys)], self.now_ms + in_ms
        stored = self.credentials.get(key_id)
        assert self.next().credentials.expire(key_id, at_ms=at_ms) == (stored is not None)
        if stored is not None and (stored.expires_ms is None or stored.expires_ms > at_ms):
            self.credentials[key_id] = replace(stored, expires_ms=at_ms)

    @precondition(lambda self: self.ever_keys)
    @rule(number=picks, tenant=tenants)
    def revoke(self, number: int, tenant: str) -> None:
        """Remove a credential, sometimes in the name of another tenant."""
        key_id = self.ever_keys[number % len(self.ever_keys)]
        exists = key_id in self.credentials and self.credentials[key_id].tenant == tenant
        assert self.next().credentials.remove(tenant, key_id) == exists
        if exists:
            del self.credentials[key_id]

    @invariant()
    def single_reads_are_right_in_both_objects(self) -> None:
        """Whatever was cached before."""
        for records in self.objects:
            for device_id, device in self.ever.items():
                assert records.devices.get(device.ref) == self.devices.get(device_id)
            for key_id in self.ever_keys:
                assert records.credentials.get(key_id) == self.credentials.get(key_id)

    @invariant()
    def lists_and_counts_are_right(self) -> None:
        """Asked of the object whose turn it is not."""
        records = self.objects[self.turn ^ 1]
        waiting = sorted(self.removed)
        assert records.devices.removed(before_ms=self.now_ms + 1) == [device for _, _, device in waiting]
        assert records.devices.tenants() == sorted({device.tenant for device in self.devices.values()})
        for tenant in TENANTS:
            devices = [device for device in self.devices.values() if device.tenant == tenant]
            keys = [each for each in self.credentials.values() if each.tenant == tenant and each.device_id is not None]
            assert records.devices.page(tenant, DeviceFilter(), limit=1000) == devices
            assert records.devices.count(tenant, DeviceFilter()) == len(devices)
            stats = records.devices.stats(tenant, now_ms=self.now_ms)
            assert stats.keys == sum(each.alive(self.now_ms) for each in keys)
            listed = records.credentials.of_kind(tenant, CredentialKind.DEVICE_KEY)
            assert {each.id for each in listed} == {each.id for each in keys}


@pytest.mark.parametrize(
    ("adapter", "examples", "steps"), [("memory", 30, 30), ("sqlite", 30, 30), ("dynamodb", 3, 20), ("moto", 2, 20)]
)
def test_devices_and_credentials_live_as_the_model_says(
    adapter: str, examples: int, steps: int, tables: Tables
) -> None:
    with TemporaryDirectory() as folder:
        numbers = iter(range(1_000_000))

        class Machine(LifeCycle):
            def __init__(self) -> None:
                super().__init__(adapter, Path(folder) / str(next(numbers)), tables)

        chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
        run_state_machine_as_test(Machine, settings=chosen)
