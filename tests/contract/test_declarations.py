"""Declared types of measurements, in memory, SQLite and DynamoDB."""

from pathlib import Path

import pytest

from chalicelib import declarations as core
from chalicelib.adapters.dynamo_declarations import DynamoDeclarations
from chalicelib.adapters.memory_declarations import MemoryDeclarations
from chalicelib.adapters.sqlite_declarations import SqliteDeclarations
from chalicelib.model import DeviceRef, MeasurementType
from chalicelib.ports import DeclarationRepository
from tests.contract.device_records import sqlite
from tests.contract.dynamo_tables import SEMANTICS, Tables

INT32, FLOAT = MeasurementType.INT32, MeasurementType.FLOAT


@pytest.fixture(params=["memory", "sqlite", *SEMANTICS])
def declarations(request: pytest.FixtureRequest, tmp_path: Path, tables: Tables) -> DeclarationRepository:
    if request.param in SEMANTICS:
        return DynamoDeclarations(tables.new(request.param))
    return MemoryDeclarations() if request.param == "memory" else SqliteDeclarations(tmp_path / "devices.db")


def test_nothing_is_declared_of_an_unknown_type(declarations: DeclarationRepository) -> None:
    assert declarations.get("default", "meter") == {}
    assert declarations.all("default") == {}
    assert not declarations.remove("default", "meter")


def test_put_replaces_all_declarations_of_the_type(declarations: DeclarationRepository) -> None:
    declarations.put("default", "meter", {"a.b": INT32, "ü": FLOAT})
    assert declarations.get("default", "meter") == {"a.b": INT32, "ü": FLOAT}
    declarations.put("default", "meter", {"ü": INT32})
    assert declarations.get("default", "meter") == {"ü": INT32}
    assert isinstance(declarations.get("default", "meter")["ü"], MeasurementType)
    declarations.put("default", "meter", {})
    assert declarations.all("default") == {}


def test_tenants_and_types_are_apart(declarations: DeclarationRepository) -> None:
    declarations.put("default", "meter", {"a": INT32})
    declarations.put("default", "camera", {"a": FLOAT})
    declarations.put("other", "meter", {"a": FLOAT})
    assert list(declarations.all("default").items()) == [("camera", {"a": FLOAT}), ("meter", {"a": INT32})]
    assert declarations.remove("default", "meter")
    assert declarations.get("default", "meter") == {}
    assert declarations.get("other", "meter") == {"a": FLOAT}


def test_device_has_what_is_declared_of_its_type(declarations: DeclarationRepository, tmp_path: Path) -> None:
    devices = sqlite(tmp_path / "devices.db")
    device = devices.add()
    declarations.put(device.tenant, device.device_type, {"a": INT32})
    declarations.put("other", device.device_type, {"a": FLOAT})
    assert core.of_device(device.ref, devices=devices.devices, declarations=declarations) == {"a": INT32}
    gone = DeviceRef(device.tenant, 404)
    assert core.of_device(gone, devices=devices.devices, declarations=declarations) == {}
