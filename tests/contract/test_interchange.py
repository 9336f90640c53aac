"""Whatever a store holds comes back out of an export, with its type, in every format and from every store."""

import gzip
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.limits import PayloadLimits
from chalicelib.model import DEFAULT_TENANT, MAX_INT64, MIN_INT64, DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore
from infra.transfer import exporting
from infra.transfer.exporting import Target
from infra.transfer.importing import Importer, Progress
from infra.transfer.manifest import DeviceEntry, Manifest, Request
from tests.contract.test_reading_store import NAMES as HOSTILE_NAMES
from tests.contract.test_reading_store import VALUES as HOSTILE_VALUES

T0 = 1_700_000_000_000
END = T0 + 1_000_000
FORMATS = ["jsonl", "jsonl.gz", "csv", "csv.gz", "wide", "parquet", "tsfile"]
OWNERS = ["kitchen", "=cmd|'/C calc'!A0", 'a,b\n"c"', "Größe 温度 🌡️"]
"""Names of devices."""
COPY = 1000
"""Added to the id of a device that is imported."""


def request_for(form: str) -> Request:
    """What the command's options become."""
    given = {
        "devices": ("all",),
        "types": (),
        "start": None,
        "end": "now",
        "measurements": None,
        "format": "csv" if form == "wide" else form.removesuffix(".gz"),
        "wide": form == "wide",
        "gzip": form.endswith(".gz"),
    }
    return Request.model_validate(given)


def manifest_for(form: str, store: ReadingStore, owners: int = len(OWNERS)) -> Manifest:
    """An export of everything, that has not begun."""
    devices = tuple(DeviceEntry(id=at, name=OWNERS[at - 1], device_type="t") for at in range(1, owners + 1))
    names = {name for device in devices for name in store.latest(DeviceRef(DEFAULT_TENANT, device.id))}
    return Manifest(
        release="0",
        created_at="",
        request=request_for(form),
        start_ms=0,
        end_ms=END,
        devices=devices,
        columns=tuple(sorted(names)) if form == "wide" else None,
    )


def exported(form: str, store: ReadingStore, folder: Path, part_readings: int = 1000) -> Path:
    """A new export, as a directory."""
    folder.mkdir(exist_ok=True)
    exporting.run(
        manifest_for(form, store), Target(folder, single=False), store, lambda *_: None, part_readings=part_readings
    )
    return folder


def imported(folder: Path, store: ReadingStore) -> dict[str, int]:
    """Import into the copies of the devices; values by device."""
    importer = Importer(
        store,
        lambda name: DeviceRef(DEFAULT_TENANT, COPY + OWNERS.index(name)),
        now_ms=END,
        limits=replace(PayloadLimits(), oldest_ms=0),
        tell=lambda _: None,
    )
    for part in sorted(folder.glob("part-*")):
        progress = Progress(folder / "progress", part, "")
        importer.take(part, progress)
        progress.forget()
    return importer.values


def content(store: ReadingStore, first_id: int) -> list[list[tuple[int, str]]]:
    """Everything of every device, spelled so that 1, 1.0 and True differ."""
    devices = [DeviceRef(DEFAULT_TENANT, first_id + at) for at in range(len(OWNERS))]
    found = (store.read(device, start_ms=0, end_ms=END, limit=100_000) for device in devices)
    return [[(one.timestamp_ms, repr(sorted(one.values.items()))) for one in readings] for readings in found]


def empty(store: ReadingStore) -> None:
    """Forget originals and copies."""
    for at in range(len(OWNERS)):
        store.purge(DeviceRef(DEFAULT_TENANT, 1 + at))
        store.purge(DeviceRef(DEFAULT_TENANT, COPY + at))


def fill(store: ReadingStore, rows: Mapping[tuple[int, int], Mapping[str, Value]]) -> None:
    """Write values by (place of the device in OWNERS, ms after T0)."""
    store.write([Reading(DeviceRef(DEFAULT_TENANT, 1 + at), T0 + ms, values) for (at, ms), values in rows.items()])


@pytest.mark.parametrize("form", FORMATS)
def test_export_and_import_keep_hostile_names_values_and_types(
    reading_store: ReadingStore, tmp_path: Path, form: str
) -> None:
    texts = [
        "=1+1",
        "+1",
        "-1",
        "@a",
        "'",
        "'=1",
        "1",
        "-0.0",
        "1e5",
        "TRUE",
        "null",
        "a,b",
        'q"',
        "\r",
        "a\rb",
        " a ",
        "\ufeff",
    ]
    values = [*(value for value in HOSTILE_VALUES if value != "nul\0inside"), *texts]  # no device may send NUL
    fill(reading_store, {(at % 4, at): dict.fromkeys(("m", "b"), value) for at, value in enumerate(values)})
    fill(reading_store, {(at, 500): dict.fromkeys(HOSTILE_NAMES, at) for at in range(4)})
    fill(reading_store, {(1, 600): {"measurement": 1, "type": 2, "value": 3}})
    counts = imported(exported(form, reading_store, tmp_path / "out"), reading_store)
    assert content(reading_store, COPY) == content(reading_store, 1)
    assert sum(counts.values()) == 2 * len(values) + 4 * len(HOSTILE_NAMES) + 3


def test_wide_table_of_exactly_the_typed_columns_is_read_as_a_table(
    tmp_path: Path, reading_store: ReadingStore
) -> None:
    fill(reading_store, {(0, 0): {"measurement": "m", "type": "int", "value": 3}})
    imported(exported("wide", reading_store, tmp_path / "out"), reading_store)
    assert content(reading_store, COPY) == content(reading_store, 1)


VALUES = st.one_of(
    st.booleans(),
    st.integers(MIN_INT64, MAX_INT64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6),
)
ROWS = st.dictionaries(
    st.tuples(st.integers(0, len(OWNERS) - 1), st.integers(0, 30)),
    st.dictionaries(st.sampled_from(["a", "b", "-", "time", "ü"]), VALUES, min_size=1, max_size=4),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(form=st.sampled_from(FORMATS), rows=ROWS, part_readings=st.integers(1, 12))
def test_any_readings_come_back_whatever_the_size_of_the_parts(
    reading_store: ReadingStore,
    tmp_path: Path,
    form: str,
    rows: dict[tuple[int, int], dict[str, Value]],
    part_readings: int,
) -> None:
    empty(reading_store)
    fill(reading_store, rows)
    for old in (tmp_path / "out").glob("*"):
        if old.is_file():
            old.unlink()
    imported(exported(form, reading_store, tmp_path / "out", part_readings), reading_store)
    assert content(reading_store, COPY) == content(reading_store, 1)


class KilledError(Exception):
    """Stands for the end of the process."""


class Dying(MemoryReadings):
    """A store under which the process ends after so many reads, in the middle of a part."""

    def __init__(self, store: ReadingStore, reads: int) -> None:
        super().__init__()
        self._store = store
        self._reads = reads

    def read(self, *arguments: Any, **options: Any) -> list[Reading]:
        if self._reads == 0:
            raise KilledError
        self._reads -= 1
        return self._store.read(*arguments, **options)


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("form", FORMATS)
def test_export_that_was_killed_goes_on_to_the_same_bytes(
    reading_store: ReadingStore, tmp_path: Path, form: str, single: bool
) -> None:
    if single and form in {"parquet", "tsfile"}:
        return
    fill(reading_store, {(at % 4, at): {"n": at, "w": f"={at}"} for at in range(200)})
    whole, broken = Target(tmp_path / "whole", single), Target(tmp_path / "broken", single)
    for target in (whole, broken):
        if not single:
            target.path.mkdir()
    begun = manifest_for(form, reading_store)
    done = exporting.run(begun, whole, reading_store, lambda *_: None, part_readings=7)
    assert sum(done.readings.values()) == 200
    for reads in range(4):
        with pytest.raises(KilledError):
            exporting.run(kept(broken) or begun, broken, Dying(reading_store, reads), lambda *_: None, part_readings=7)
    assert exporting.run(
        kept(broken) or begun, broken, reading_store, lambda *_: None, part_readings=7
    ) == without_name(done, broken)
    assert files(broken) == files(whole)


def kept(target: Target) -> Manifest | None:
    """The manifest that a killed export left."""
    return Manifest.model_validate_json(target.manifest.read_bytes()) if target.manifest.exists() else None


def without_name(manifest: Manifest, target: Target) -> Manifest:
    """The manifest as that of another target."""
    if not target.single:
        return manifest
    parts = tuple(part.model_copy(update={"file": target.path.name}) for part in manifest.parts)
    return manifest.model_copy(update={"parts": parts})


def files(target: Target) -> dict[str, bytes]:
    """What an export wrote, without its manifest."""
    if target.single:
        return {"": target.path.read_bytes()}
    return {path.name: path.read_bytes() for path in target.path.glob("part-*")}


def test_compressed_parts_of_one_file_are_one_gzip_file(reading_store: ReadingStore, tmp_path: Path) -> None:
    fill(reading_store, {(0, at): {"n": at} for at in range(20)})
    targets = {form: Target(tmp_path / f"one.{form}", single=True) for form in ("csv", "csv.gz")}
    for form, target in targets.items():
        exporting.run(manifest_for(form, reading_store), target, reading_store, lambda *_: None, part_readings=3)
    assert gzip.decompress(targets["csv.gz"].path.read_bytes()) == targets["csv"].path.read_bytes()
    assert targets["csv"].path.read_text().count("timestamp") == 1
    names = ["one.csv", "one.csv.gz"]
    made = {path.name for path in tmp_path.iterdir()} - {"telemetry.db", "telemetry.db-wal", "telemetry.db-shm"}
    assert made == {*names, *(f"{name}.manifest.json" for name in names)}
