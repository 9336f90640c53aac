"""What every reading store does with readings: write, read, latest, count, delete, purge."""

import threading
from collections.abc import Mapping
from itertools import pairwise

import pytest

from chalicelib.model import MAX_INT64, MIN_INT64, DeviceRef, Reading, Value
from chalicelib.ports import ReadingStore

DEVICE = DeviceRef("default", 7)
OTHER = DeviceRef("default", 8)
T0 = 1_700_000_000_000
END = 2 * T0


def at(offset_ms: int, device: DeviceRef = DEVICE, **values: Value) -> Reading:
    """A reading *offset_ms* after T0."""
    return Reading(device, T0 + offset_ms, values)


def everything(store: ReadingStore, device: DeviceRef = DEVICE) -> dict[int, Mapping[str, Value]]:
    """All readings of the device, by ms after T0."""
    found = store.read(device, start_ms=0, end_ms=END, limit=100_000)
    return {reading.timestamp_ms - T0: reading.values for reading in found}


def exact(value: Value) -> tuple[type, str]:
    """Tells apart what == does not: True and 1, 1 and 1.0, 0.0 and -0.0."""
    return type(value), repr(value)


VALUES: list[Value] = [
    True, False, 0, 1, -1, 2**53 + 1, MAX_INT64, MIN_INT64, 0.0, -0.0, 1.0, 0.1, 5e-324, 1.7976931348623157e308,
    "", "on", "1", "1.5", "true", "tab\tnew\nline", "nul\0inside", "Größe 温度 🌡️", "x" * 4096,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20])
def test_write_keeps_value_and_type(reading_store: ReadingStore, value: Value) -> None:
    assert reading_store.write([at(0, m=value)]) == []
    assert exact(everything(reading_store)[0]["m"]) == exact(value)
    assert exact(reading_store.latest(DEVICE)["m"][1]) == exact(value)


def test_write_lets_a_measurement_change_its_type(reading_store: ReadingStore) -> None:
    reading_store.write([at(n, m=value) for n, value in enumerate(VALUES)])
    assert [exact(values["m"]) for values in everything(reading_store).values()] == list(map(exact, VALUES))


@pytest.mark.parametrize("newer", VALUES[:1] + VALUES[3:4] + VALUES[11:12] + ["text"], ids=repr)
@pytest.mark.parametrize("older", [False, 5, 0.5, "old"], ids=repr)
def test_write_again_replaces_value_and_type(reading_store: ReadingStore, older: Value, newer: Value) -> None:
    reading_store.write([at(0, m=older)])
    reading_store.write([at(0, m=newer)])
    assert exact(everything(reading_store)[0]["m"]) == exact(newer)
    assert reading_store.count(DEVICE) == 1


def test_write_lets_the_later_of_one_call_win(reading_store: ReadingStore) -> None:
    reading_store.write([at(5, m=1), at(0, m=1), at(5, m="two"), at(5, m=3.0, n=True), at(0, m=2)])
    assert everything(reading_store) == {0: {"m": 2}, 5: {"m": 3.0, "n": True}}


def test_write_keeps_values_that_are_not_given(reading_store: ReadingStore) -> None:
    reading_store.write([at(0, a=1, b="x")])
    reading_store.write([at(0, b="y", c=False)])
    assert everything(reading_store) == {0: {"a": 1, "b": "y", "c": False}}


def test_write_takes_any_order_and_any_devices(reading_store: ReadingStore) -> None:
    reading_store.write([at(20, m=2), at(0, OTHER, m=7), at(10, m=1), at(30, OTHER, m=8), at(0, m=0)])
    assert everything(reading_store) == {0: {"m": 0}, 10: {"m": 1}, 20: {"m": 2}}
    assert everything(reading_store, OTHER) == {0: {"m": 7}, 30: {"m": 8}}


def test_write_of_nothing_does_nothing(reading_store: ReadingStore) -> None:
    assert reading_store.write([]) == []
    assert everything(reading_store) == {}


NAMES = [
    "time", "timestamp", "root", "a.b", "a b", "`a`", "'a'", '"a"', "a;DROP TABLE point", "%s", "?", "Ä", "ä", "a", "A",
    "温度", "🌡️", "x" * 64, "0", "-", "meta_x", "\\", "/", "e\u0301", "\u00e9",
]  # fmt: skip


def test_write_keeps_names_apart_and_as_they_were_sent(reading_store: ReadingStore) -> None:
    values = {name: number for number, name in enumerate(NAMES)}
    reading_store.write([Reading(DEVICE, T0, values)])
    assert everything(reading_store) == {0: values}
    assert reading_store.latest(DEVICE) == {name: (T0, number) for name, number in values.items()}
    for name in NAMES:
        (found,) = reading_store.read(DEVICE, start_ms=T0, end_ms=T0 + 1, limit=9, measurements=[name])
        assert found.values == {name: values[name]}


@pytest.mark.parametrize(
    "values",
    [{"m": float("nan")}, {"m": float("-inf")}, {"m": MAX_INT64 + 1}, {"m": "\ud800"}, {"\udfff": 1}, {"m": None}, {}],
    ids=repr,
)
def test_write_rejects_what_cannot_be_stored_and_stores_its_neighbours(
    reading_store: ReadingStore, values: Mapping[str, Value]
) -> None:
    rejected = reading_store.write([at(0, m=1), Reading(DEVICE, T0 + 1, values), at(2, m=3)])
    assert [one.position for one in rejected] == [1]
    assert rejected[0].reason
    assert everything(reading_store) == {0: {"m": 1}, 2: {"m": 3}}


def test_read_is_half_open(reading_store: ReadingStore) -> None:
    reading_store.write([at(n, m=n) for n in range(4)])
    found = reading_store.read(DEVICE, start_ms=T0 + 1, end_ms=T0 + 3, limit=10)
    assert found == [at(1, m=1), at(2, m=2)]
    assert reading_store.read(DEVICE, start_ms=T0 + 1, end_ms=T0 + 1, limit=10) == []
    assert reading_store.read(DEVICE, start_ms=T0 + 3, end_ms=T0 + 1, limit=10) == []
    assert reading_store.read(DEVICE, start_ms=T0, end_ms=T0 + 9, limit=0) == []


def sparse() -> list[Reading]:
    """100 readings: `a` in every third, `b` in every tenth, `c` only in the last, `d` in all that have nothing else."""
    readings = []
    for n in range(100):
        values: dict[str, Value] = {"a": n} if n % 3 == 0 else {}
        values |= {"b": str(n)} if n % 10 == 0 else {}
        values |= {"c": True} if n == 99 else {}
        readings.append(Reading(DEVICE, T0 + n, values or {"d": n / 2}))
    return readings


@pytest.mark.parametrize("limit", [1, 7, 33, 100, 101])
@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("measurements", [None, ["a"], ["b", "c"], ["c", "a", "nothing"], ["nothing"], []])
def test_read_pages_over_sparse_rows_give_every_row_once(
    reading_store: ReadingStore, limit: int, newest_first: bool, measurements: list[str] | None
) -> None:
    reading_store.write(sparse())
    paged: list[Reading] = []
    start_ms, end_ms = T0, T0 + 1000
    while page := reading_store.read(
        DEVICE,
        start_ms=start_ms,
        end_ms=end_ms,
        limit=limit,
        newest_first=newest_first,
        measurements=measurements,
    ):
        assert len(page) <= limit
        paged += page
        last_ms = page[-1].timestamp_ms
        start_ms, end_ms = (start_ms, last_ms) if newest_first else (last_ms + 1, end_ms)
    wanted = [
        reading._replace(values={k: v for k, v in reading.values.items() if measurements is None or k in measurements})
        for reading in sparse()
    ]
    wanted = [reading for reading in wanted if reading.values]
    assert paged == (wanted[::-1] if newest_first else wanted)


def test_read_gives_ten_thousand_rows_in_order(reading_store: ReadingStore) -> None:
    written = [at(n * 1000, a=n, b=n / 2, c="x") for n in range(10_050)]
    reading_store.write(written[::-1])
    assert reading_store.read(DEVICE, limit=10_000, start_ms=0, end_ms=END) == written[:10_000]
    newest = reading_store.read(DEVICE, limit=10_000, newest_first=True, start_ms=0, end_ms=END)
    assert newest == written[:-10_001:-1]
    assert all(one.timestamp_ms > two.timestamp_ms for one, two in pairwise(newest))


def test_latest_gives_every_measurement_its_own_time(reading_store: ReadingStore) -> None:
    reading_store.write([at(30, a=3), at(10, a=1, b="old"), at(20, b="new"), at(5, c=False)])
    assert reading_store.latest(DEVICE) == {"a": (T0 + 30, 3), "b": (T0 + 20, "new"), "c": (T0 + 5, False)}


def test_unknown_device_has_nothing(reading_store: ReadingStore) -> None:
    reading_store.write([at(0, m=1)])
    stranger = DeviceRef("default", 404)
    assert everything(reading_store, stranger) == {}
    assert reading_store.latest(stranger) == {}
    assert reading_store.count(stranger) == 0
    assert reading_store.delete(stranger, start_ms=0, end_ms=END) == 0
    reading_store.purge(stranger)
    assert reading_store.count(DEVICE) == 1


def test_count_counts_rows_not_values(reading_store: ReadingStore) -> None:
    reading_store.write(sparse())
    reading_store.write([at(0, other=1), at(50, OTHER, m=1)])
    assert reading_store.count(DEVICE) == 100


def test_delete_takes_the_range_and_nothing_else(reading_store: ReadingStore) -> None:
    reading_store.write([at(n, a=n, b=n) for n in range(5)] + [at(n, OTHER, a=n) for n in range(5)])
    assert reading_store.delete(DEVICE, start_ms=T0 + 1, end_ms=T0 + 3) == 2
    assert list(everything(reading_store)) == [0, 3, 4]
    assert reading_store.count(DEVICE) == 3
    assert reading_store.count(OTHER) == 5
    assert reading_store.delete(DEVICE, start_ms=T0 + 1, end_ms=T0 + 3) == 0


def test_delete_of_some_measurements_keeps_the_others(reading_store: ReadingStore) -> None:
    reading_store.write([at(0, a=1, b=1, c=1), at(1, a=2), at(2, b=3), at(3, c=4), at(4, a=5)])
    deleted = reading_store.delete(DEVICE, start_ms=T0, end_ms=T0 + 4, measurements=["a", "b", "nothing"])
    assert deleted == 3
    assert everything(reading_store) == {0: {"c": 1}, 3: {"c": 4}, 4: {"a": 5}}
    assert reading_store.count(DEVICE) == 3
    assert reading_store.latest(DEVICE) == {"a": (T0 + 4, 5), "c": (T0 + 3, 4)}
    assert reading_store.delete(DEVICE, start_ms=T0, end_ms=T0 + 9, measurements=[]) == 0


def test_count_leaves_out_rows_that_lost_their_last_value(reading_store: ReadingStore) -> None:
    reading_store.write([at(2, b=0), at(1, a="x"), at(3, a=1, b=2)])
    assert reading_store.delete(DEVICE, start_ms=T0 + 2, end_ms=T0 + 3, measurements=["b"]) == 1
    assert reading_store.count(DEVICE) == 2
    assert reading_store.delete(DEVICE, start_ms=T0, end_ms=T0 + 3) == 1
    assert everything(reading_store) == {3: {"a": 1, "b": 2}}


def test_delete_of_more_than_one_slice_is_complete(reading_store: ReadingStore) -> None:
    """The embedded store cuts a delete into transactions of about 50 000 points."""
    names = [f"m{n}" for n in range(100)]
    reading_store.write([Reading(DEVICE, T0 + n, dict.fromkeys(names, n)) for n in range(1_100)])
    assert reading_store.delete(DEVICE, start_ms=T0 + 10, end_ms=T0 + 1_090) == 1_080
    assert list(everything(reading_store)) == [*range(10), *range(1_090, 1_100)]
    assert reading_store.count(DEVICE) == 20


def test_deleted_readings_can_be_written_again(reading_store: ReadingStore) -> None:
    reading_store.write([at(0, m=1)])
    reading_store.delete(DEVICE, start_ms=0, end_ms=END)
    reading_store.write([at(0, m="again")])
    assert everything(reading_store) == {0: {"m": "again"}}
    assert reading_store.count(DEVICE) == 1


def test_purge_takes_everything_and_the_device_can_write_again(reading_store: ReadingStore) -> None:
    reading_store.write([at(0, a=1), at(1, b=2), at(0, OTHER, a=3)])
    reading_store.purge(DEVICE)
    assert everything(reading_store) == {}
    assert reading_store.latest(DEVICE) == {}
    assert reading_store.count(DEVICE) == 0
    reading_store.write([at(5, a="new")])
    assert everything(reading_store) == {5: {"a": "new"}}
    assert everything(reading_store, OTHER) == {0: {"a": 3}}


def test_tenants_do_not_see_each_other(reading_store: ReadingStore) -> None:
    mine, theirs = DeviceRef("mine", 1), DeviceRef("theirs", 1)
    reading_store.write([at(0, mine, m=1), at(0, theirs, m=2)])
    assert reading_store.latest(mine) == {"m": (T0, 1)}
    assert reading_store.delete(mine, start_ms=0, end_ms=END) == 1
    reading_store.purge(mine)
    assert everything(reading_store, theirs) == {0: {"m": 2}}
    assert reading_store.count(theirs) == 1


def test_threads_may_write_and_read_at_once(reading_store: ReadingStore) -> None:
    failures: list[BaseException] = []

    def work(device: DeviceRef) -> None:
        try:
            for n in range(20):
                reading_store.write([at(n, device, m=n), at(n, DEVICE, **{f"m{device.id}": n})])
                assert reading_store.latest(device) == {"m": (T0 + n, n)}
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(DeviceRef("default", 100 + n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert reading_store.count(DEVICE) == 20
    assert everything(reading_store)[19] == {f"m{100 + n}": 19 for n in range(6)}


def test_check_answers(reading_store: ReadingStore) -> None:
    reading_store.check()
