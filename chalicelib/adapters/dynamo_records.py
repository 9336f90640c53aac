"""How devices and credentials lie in the table, for both of their repositories.

A device has the ids of its keys in a set: who adds or removes one insists that the set is still what he saw, so that
no key outlives its device and the number of live ones is never passed.
"""

import json
from collections.abc import Iterable
from typing import Any

from chalicelib.adapters.dynamo_requests import Item, Key, delete, ordered, path, put
from chalicelib.adapters.dynamo_table import Table, in_list
from chalicelib.model import ConfigEntry, Credential, CredentialKind, Device, DeviceStatus

REVISION = "devices"
SAME_KEYS = "#holds = :holds"
NO_KEYS = "attribute_not_exists(#holds)"
ABSENT = "attribute_not_exists(#pk)"


def device_key(device_id: int) -> Key:
    """Where the device is."""
    return Key(path("device", device_id))


def name_key(tenant: str, name: str) -> Key:
    """What makes the name unique."""
    return Key(path("name", tenant, name))


def credential_key(credential_id: str) -> Key:
    """Where the credential is."""
    return Key(path("credential", credential_id))


def token_name_key(tenant: str, name: str) -> Key:
    """What makes the name of a live token unique."""
    return Key(path("token", tenant, name))


def device_list(tenant: str) -> str:
    """The list of the tenant's devices, by id."""
    return path("devices", tenant)


def credential_list(tenant: str, kind: CredentialKind) -> str:
    """The list of the tenant's credentials of this kind, oldest first."""
    return path("credentials", tenant, kind)


def device_values(device: Device) -> dict[str, Any]:
    """The attributes of a device; searched ones beside the whole."""
    whole = {
        "description": device.description,
        "firmware_version": device.firmware_version,
        "hardware_version": device.hardware_version,
        "configuration": dict(device.configuration),
        "created_ms": device.created_ms,
        "updated_ms": device.updated_ms,
    }
    return {
        "id": device.id,
        "tenant": device.tenant,
        "name": device.name,
        "device_type": device.device_type,
        "location": device.location,
        "status": device.status.value,
        "tags": device.tags,
        "version": device.version,
        "folded_name": device.name.casefold(),
        "folded_location": device.location.casefold(),
        "rest": json.dumps(whole),
        **in_list(device_list(device.tenant), ordered(device.id)),
    }


def device_of(item: Item) -> Device:
    """The device of an item."""
    whole = json.loads(item["rest"])
    configuration = {key: ConfigEntry(*entry) for key, entry in whole.pop("configuration").items()}
    plain = ("id", "tenant", "name", "device_type", "location", "version")
    return Device(
        **{name: item[name] for name in plain},
        **whole,
        status=DeviceStatus(item["status"]),
        tags=tuple(item["tags"]),
        configuration=configuration,
    )


def added_credential(credential: Credential) -> dict[str, Any]:
    """The write of a new credential, refused when the id is taken."""
    values = {
        "id": credential.id,
        "tenant": credential.tenant,
        "kind": credential.kind.value,
        "digest": credential.digest,
        "broker_hash": credential.broker_hash,
        "device_id": credential.device_id,
        "name": credential.name,
        "scopes": sorted(credential.scopes),
        "created_ms": credential.created_ms,
        **({} if credential.expires_ms is None else {"expires_ms": credential.expires_ms}),
        **in_list(
            credential_list(credential.tenant, credential.kind), path(ordered(credential.created_ms), credential.id)
        ),
    }
    return put(credential_key(credential.id), values, ABSENT)


def credential_of(item: Item) -> Credential:
    """The credential of an item."""
    plain = ("id", "tenant", "digest", "broker_hash", "device_id", "name", "created_ms")
    return Credential(
        **{name: item[name] for name in plain},
        kind=CredentialKind(item["kind"]),
        scopes=frozenset(item["scopes"]),
        expires_ms=item.get("expires_ms"),
    )


def credentials_of(table: Table, device: Item) -> list[Credential]:
    """All keys of a device, oldest first."""
    found = table.get_many(credential_key(each) for each in device.get("holds", ()))
    return sorted(map(credential_of, found.values()), key=lambda key: (key.created_ms, key.id))


def same_keys(device: Item) -> tuple[str, dict[str, Any]]:
    """The condition that a device still has the keys that it had, and its values."""
    return (SAME_KEYS, {"holds": device["holds"]}) if "holds" in device else (NO_KEYS, {})


def removed_credentials(credential_ids: Iterable[str]) -> list[dict[str, Any]]:
    """The writes that delete credentials, whether they are there or not."""
    return [delete(credential_key(each)) for each in credential_ids]
