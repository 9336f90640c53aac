"""What every `CredentialRepository` promises, alone and together with the devices."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from chalicelib.errors import Conflict, NotFound
from chalicelib.model import MAX_INT64, Credential, CredentialKind, DeviceRef
from tests.contract.device_records import ADAPTERS, NOW_MS, Records, draft, key, open_records, token
from tests.contract.dynamo_tables import Tables


@pytest.fixture(params=ADAPTERS)
def records(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> Records:
    return open_records(request.param, tmp_path, tables)


def test_credential_comes_back_with_every_field(records: Records) -> None:
    device = records.add(tenant="täglich")
    name = "ü" * 100 + "\x00'"
    scopes = frozenset({"admin", "devices:read", ""})
    for credential in (
        replace(
            key("täglich", device_id=device.id), name=name, created_ms=0, expires_ms=MAX_INT64, broker_hash="$7$1$ü$="
        ),
        replace(token(name, "täglich"), scopes=scopes, created_ms=MAX_INT64, expires_ms=0),
    ):
        records.credentials.add(credential, now_ms=NOW_MS)
        for seen in (records, records.again()):
            assert seen.credentials.get(credential.id) == credential
            assert seen.credentials.get(credential.id) == credential


def test_absent_credential_is_none(records: Records) -> None:
    assert records.credentials.get("nobody") is None
    assert records.credentials.get("") is None
    assert records.credentials.expire("nobody", at_ms=NOW_MS) is False
    assert records.credentials.remove("default", "nobody") is False
    assert records.credentials.of_device(DeviceRef("default", 1)) == []


def test_expired_credential_is_still_told(records: Records) -> None:
    """Whether it is alive is for the caller to ask, with the caller's clock."""
    old = token("old", expires_ms=NOW_MS - 1)
    records.credentials.add(old, now_ms=NOW_MS)
    assert records.credentials.get(old.id) == old


def test_add_with_taken_id_conflicts_and_keeps_the_first(records: Records) -> None:
    first = token("first")
    records.credentials.add(first, now_ms=NOW_MS)
    with pytest.raises(Conflict) as refused:
        records.credentials.add(replace(token("second", "other"), id=first.id), now_ms=NOW_MS)
    assert refused.value.code == "id_taken"
    assert records.credentials.get(first.id) == first


@pytest.mark.parametrize("tenant", ["default", "other"])
def test_add_to_an_absent_or_foreign_device_is_not_found(records: Records, tenant: str) -> None:
    device = records.add(tenant="other" if tenant == "default" else "default")
    for device_id in (device.id, device.id + 1):
        with pytest.raises(NotFound):
            records.credentials.add(key(tenant, device_id=device_id), now_ms=NOW_MS)


def test_name_of_a_live_token_is_taken_within_the_tenant(records: Records) -> None:
    records.credentials.add(token("ci", expires_ms=NOW_MS + 10), now_ms=NOW_MS)
    with pytest.raises(Conflict) as refused:
        records.credentials.add(token("ci"), now_ms=NOW_MS + 9)
    assert (refused.value.code, refused.value.field) == ("name_taken", "name")
    records.credentials.add(token("CI"), now_ms=NOW_MS)
    records.credentials.add(token("ci", "other"), now_ms=NOW_MS)
    records.credentials.add(token("ci"), now_ms=NOW_MS + 10)


def test_labels_of_keys_need_not_differ(records: Records) -> None:
    device = records.add()
    records.credentials.add(token("spare"), now_ms=NOW_MS)
    for _ in range(2):
        records.credentials.add(replace(key(device_id=device.id), name="spare"), now_ms=NOW_MS)
    assert [each.name for each in records.credentials.of_device(device.ref)].count("spare") == 2


def test_max_alive_counts_live_keys_of_that_device_only(records: Records) -> None:
    device, other = records.add(), records.add()
    records.credentials.add(key(device_id=other.id), now_ms=NOW_MS)
    dying = replace(key(device_id=device.id), expires_ms=NOW_MS + 10)
    records.credentials.add(dying, now_ms=NOW_MS, max_alive=2)
    with pytest.raises(Conflict) as refused:
        records.credentials.add(key(device_id=device.id), now_ms=NOW_MS + 9, max_alive=2)
    assert (refused.value.code, refused.value.limit) == ("too_many_keys", "2 keys")
    records.credentials.add(key(device_id=device.id), now_ms=NOW_MS + 10, max_alive=2)
    assert len(records.credentials.of_device(device.ref)) == 3


@pytest.mark.parametrize(
    ("already", "asked", "then"),
    [(None, 50, 50), (100, 50, 50), (50, 100, 50), (50, 50, 50), (None, MAX_INT64, MAX_INT64), (0, -5, -5)],
)
def test_expire_only_ever_shortens(records: Records, already: int | None, asked: int, then: int) -> None:
    credential = token("ci", expires_ms=already)
    records.credentials.add(credential, now_ms=0)
    assert records.credentials.get(credential.id) == credential
    assert records.credentials.expire(credential.id, at_ms=asked) is True
    assert records.credentials.get(credential.id) == replace(credential, expires_ms=then)


def test_remove_revokes_only_in_its_own_tenant(records: Records) -> None:
    credential = token("ci")
    records.credentials.add(credential, now_ms=NOW_MS)
    assert records.credentials.remove("other", credential.id) is False
    assert records.credentials.get(credential.id) == credential
    assert records.credentials.remove("default", credential.id) is True
    assert records.credentials.get(credential.id) is None
    assert records.credentials.remove("default", credential.id) is False


def test_lists_are_oldest_first_and_of_one_owner(records: Records) -> None:
    device = records.devices.add(draft(), key(created_ms=20), now_ms=NOW_MS)
    records.add()
    records.add(tenant="other")
    older = replace(key(device_id=device.id, created_ms=10), expires_ms=11)
    newer = key(device_id=device.id, created_ms=30)
    for each in (newer, older):
        records.credentials.add(each, now_ms=NOW_MS)
    names = [token("b"), replace(token("a"), created_ms=5), token("a", "other")]
    for each in names:
        records.credentials.add(each, now_ms=NOW_MS)
    assert [each.created_ms for each in records.credentials.of_device(device.ref)] == [10, 20, 30]
    assert records.credentials.of_device(DeviceRef("other", device.id)) == []
    assert records.credentials.of_kind("default", CredentialKind.TOKEN) == [names[1], names[0]]
    assert len(records.credentials.of_kind("default", CredentialKind.DEVICE_KEY)) == 4
    assert records.credentials.of_kind("nobody", CredentialKind.TOKEN) == []


def _revoke(records: Records, credential: Credential) -> None:
    records.credentials.remove(credential.tenant, credential.id)


def _expire(records: Records, credential: Credential) -> None:
    records.credentials.expire(credential.id, at_ms=NOW_MS)


def _remove_device(records: Records, credential: Credential) -> None:
    records.devices.remove(DeviceRef(credential.tenant, credential.device_id or 0), now_ms=NOW_MS)


@pytest.mark.parametrize("end", [_revoke, _expire, _remove_device])
@pytest.mark.parametrize("where", ["same object", "another object", "another thread", "another object and thread"])
def test_end_of_a_key_is_seen_by_the_very_next_get(
    records: Records, end: Callable[[Records, Credential], None], where: str
) -> None:
    """The cache is warm in two objects; neither tells the key alive after either ended it."""
    both = (records, records.again())
    for _ in range(3):
        first = key()
        device = records.devices.add(draft(), first, now_ms=NOW_MS)
        credential = replace(first, device_id=device.id)
        assert [seen.credentials.get(first.id) for seen in both] == [credential] * 2
        act = Thread(target=end, args=(both["another object" in where], credential))
        if "thread" in where:
            act.start()
            act.join(timeout=10)
        else:
            act.run()
        for seen in both:
            left = seen.credentials.get(first.id)
            assert left is None or not left.alive(NOW_MS)
