"""Any sequence of writes, deletes and purges leaves what a dictionary would hold."""

from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.model import MAX_INT64, MIN_INT64, DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore

DEVICES = [DeviceRef("default", 1), DeviceRef("default", 2), DeviceRef("other", 1)]
NAMES = ["a", "b", "time", "x.y", "ü"]
LAST_MS = 20

TIMES = st.integers(0, LAST_MS)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.one_of(st.booleans(), st.integers(MIN_INT64, MAX_INT64), FLOATS, st.text(max_size=4))
READING = st.builds(
    Reading, st.sampled_from(DEVICES), TIMES, st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1)
)


class Write(NamedTuple):
    """Write readings in one call."""

    readings: list[Reading]


class Delete(NamedTuple):
    """Delete a range of all or some measurements."""

    device: DeviceRef
    start_ms: int
    end_ms: int
    names: list[str] | None


class Purge(NamedTuple):
    """Delete everything of a device."""

    device: DeviceRef


Step = Write | Delete | Purge
STEPS = st.lists(
    st.one_of(
        st.builds(Write, st.lists(READING, max_size=10)),
        st.builds(
            Delete, st.sampled_from(DEVICES), TIMES, TIMES, st.none() | st.lists(st.sampled_from(NAMES), max_size=3)
        ),
        st.builds(Purge, st.sampled_from(DEVICES)),
    ),
    max_size=12,
)
Model = dict[tuple[DeviceRef, int, str], Value]


def delete(model: Model, step: Delete) -> int:
    """Delete from the model; how many readings lost a value."""
    device, start_ms, end_ms, names = step
    doomed = [
        (owner, timestamp_ms, name)
        for owner, timestamp_ms, name in model
        if owner == device and start_ms <= timestamp_ms < end_ms and (names is None or name in names)
    ]
    for key in doomed:
        del model[key]
    return len({timestamp_ms for _, timestamp_ms, _ in doomed})


def take(store: ReadingStore, model: Model, step: Step) -> None:
    """Do one step to both."""
    match step:
        case Write(readings):
            assert store.write(readings) == []
            for device, timestamp_ms, values in readings:
                model.update({(device, timestamp_ms, name): value for name, value in values.items()})
        case Delete(device, start_ms, end_ms, names):
            deleted = store.delete(device, start_ms=start_ms, end_ms=end_ms, measurements=names)
            assert deleted == delete(model, step)
        case Purge(device):
            store.purge(device)
            delete(model, Delete(device, 0, LAST_MS + 1, None))


def compare(store: ReadingStore, model: Model, device: DeviceRef) -> None:
    """Everything the store says of a device is what the model holds."""
    rows: dict[int, dict[str, Value]] = {}
    newest: dict[str, tuple[int, Value]] = {}
    for (owner, timestamp_ms, name), value in sorted(model.items(), key=lambda item: item[0]):
        if owner == device:
            rows.setdefault(timestamp_ms, {})[name] = value
            newest[name] = (timestamp_ms, value)
    found = store.read(device, start_ms=0, end_ms=LAST_MS + 1, limit=1000)
    assert [(one.timestamp_ms, exact(one.values)) for one in found] == [(ts, exact(rows[ts])) for ts in sorted(rows)]
    assert exact(store.latest(device)) == exact(newest)
    assert store.count(device) == len(rows)


def exact(values: object) -> str:
    """Tells True from 1, 1 from 1.0 and 0.0 from -0.0; the order of names does not matter."""
    return repr(sorted(values.items())) if isinstance(values, dict) else repr(values)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(STEPS)
def test_any_history_leaves_what_a_dictionary_would_hold(reading_store: ReadingStore, steps: list[Step]) -> None:
    for device in DEVICES:
        reading_store.purge(device)
    model: Model = {}
    for step in steps:
        take(reading_store, model, step)
    for device in DEVICES:
        compare(reading_store, model, device)
