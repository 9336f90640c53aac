"""Files that are not as an export makes them: each is refused at its line, and what stands before it is stored."""

from pathlib import Path

import pytest

from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.errors import InvalidInput
from chalicelib.limits import PayloadLimits
from chalicelib.model import DeviceRef
from infra.failure import Exit, Failure
from infra.transfer.importing import Importer, Progress
from tests.builders import NOW_MS

DEVICE = DeviceRef("default", 1)
GOOD = '{"device":"a","timestamp":"2023-11-14T22:13:20Z","data":{"t":1}}'
TYPED = "device,timestamp,measurement,type,value\r\na,2023-11-14T22:13:20Z,t,int,1\r\n"
WIDE = "device,timestamp,t,u\r\na,2023-11-14T22:13:20Z,1,\r\n"


def find(name: str) -> DeviceRef:
    """The only device."""
    if name != "a":
        message = f"there is no device {name}"
        raise InvalidInput(message)
    return DEVICE


def load(file: Path, store: MemoryReadings) -> Importer:
    """Import a file; how far it came is kept beside it."""
    importer = Importer(store, find, now_ms=NOW_MS, limits=PayloadLimits(), tell=lambda _: None)
    importer.take(file, Progress(file.parent / "imports", file, ""))
    return importer


@pytest.mark.parametrize(
    ("name", "text", "line", "reason"),
    [
        ("x.jsonl", f"{GOOD}\n{{broken\n", 2, "the line is not JSON"),
        ("x.jsonl", f"{GOOD}\n\n[1]\n", 3, "not an object with device, timestamp and data alone"),
        ("x.jsonl", GOOD.replace('"t":1', '"t":1,"t":2'), 1, "The key t occurs twice"),
        ("x.jsonl", GOOD.replace('"t":1', '"t":NaN'), 1, "NaN is not JSON"),
        ("x.jsonl", GOOD.replace('"t":1', '"t":9223372036854775808'), 1, "t does not fit in a signed 64-bit integer"),
        ("x.jsonl", GOOD.replace('"t":1', '"' + "n" * 65 + '":1'), 1, "is not 1 to 64 characters long"),
        ("x.jsonl", GOOD.replace("1}", '"' + "x" * 4097 + '"}'), 1, "t is text of more than 4 kB"),
        ("x.jsonl", GOOD.replace("2023", "1999"), 1, "timestamp is outside of what is accepted now"),
        ("x.jsonl", GOOD.replace("2023-11-14T22:13:20Z", "soon"), 1, "timestamp is not a time"),
        ("x.jsonl", GOOD.replace('"a"', '"b"'), 1, "there is no device b"),
        ("x.jsonl", GOOD.replace('"device":"a",', ""), 1, "device must be the name of a device"),
        ("x.jsonl", GOOD.replace('{"t":1}', "5"), 1, "data must be an object of measurements and values"),
        ("x.jsonl", f"{GOOD}\n\udcff\n", 2, "the line is not UTF-8"),
        ("x.csv", "time,value\r\n1,2\r\n", 1, "the header must begin with device,timestamp"),
        ("x.csv", "", 1, "the header must begin with device,timestamp"),
        ("x.csv", f'{TYPED}a,1700000001,"two\nlines",int,1\r\na,1700000000,t,int,1.5\r\n', 5, "value '1.5' is no int"),
        ("x.csv", f"{TYPED}a,2023-11-14T22:13:20Z,t,number,1\r\n", 3, "has no type int, float, bool or text"),
        ("x.csv", f"{TYPED}a,2023-11-14T22:13:20Z,t,bool,yes\r\n", 3, "value 'yes' is no bool"),
        ("x.csv", f"{TYPED}a,2023-11-14T22:13:20Z,t,float,1e999\r\n", 3, "t is not a finite number"),
        ("x.csv", f"{TYPED}a,never,t,int,1\r\n", 3, "timestamp is not a time"),
        ("x.csv", f"{TYPED}a,2023-11-14T22:13:20Z\r\n", 3, "2 cells, the header has 5"),
        ("x.csv", f'{TYPED}a,"x"y,t,int,1\r\n', 3, "not CSV"),
        ("x.csv", f"{TYPED}\udcff,1,t,int,1\r\n", 3, "not UTF-8"),
        ("x.csv", f"{WIDE}a,2023-11-14T22:13:21Z,1,123456789012345678901234\r\n", 3, "u: value"),
    ],
)  # fmt: skip
def test_malformed_line_is_refused_by_its_number_and_the_lines_before_it_are_stored(
    tmp_path: Path, name: str, text: str, line: int, reason: str
) -> None:
    file, store = tmp_path / name, MemoryReadings()
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Failure) as caught:
        load(file, store)
    assert caught.value.code == Exit.BAD_OPTION
    assert str(caught.value).startswith(f"{file}:{line}: ")
    assert reason in str(caught.value)
    stored = store.read(DEVICE, start_ms=0, end_ms=NOW_MS, limit=1)
    assert [one.values for one in stored] == ([{"t": 1}] if line > 1 else [])


def test_files_of_other_programs_are_read_when_their_columns_are_right(tmp_path: Path) -> None:
    """No guards, line ends of Unix, epoch times, blank lines, a reading in several lines."""
    file, store = tmp_path / "x.csv", MemoryReadings()
    file.write_text("device,timestamp,t,w\na,1700000000,1.5,text\n\na,1700000000000,,more\na,1700000001,true,\n")
    assert load(file, store).values == {"a": 4}
    found = store.read(DEVICE, start_ms=0, end_ms=NOW_MS, limit=9)
    assert [one.values for one in found] == [{"t": 1.5, "w": "more"}, {"t": True}]


def test_import_goes_on_behind_what_is_stored_unless_the_file_has_changed(tmp_path: Path) -> None:
    file, store = tmp_path / "x.jsonl", MemoryReadings()
    file.write_text(f"{GOOD}\nbroken\n")
    with pytest.raises(Failure):
        load(file, store)
    store.purge(DEVICE)
    with pytest.raises(Failure, match=":2:"):
        load(file, store)
    assert store.count(DEVICE) == 0
    file.write_text(f"{GOOD}\n{GOOD.replace('20Z', '21Z')}\n")
    assert load(file, store).values == {"a": 2}
