"""Telemetry as readers get it: history, latest, aggregates, deletion."""

import math
import threading
from typing import Any

import pytest

from chalicelib.model import Scope
from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service, now_ms

AT = 1_700_000_000_000
ISO = "2023-11-14T22:13:20.000Z"
HISTORY = {"device_id", "device_name", "device_type", "start_time", "end_time", "data", "count", "next_cursor"}
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def filled(service: Service) -> RegisteredDevice:
    """A device with ten readings, one a minute."""
    device = service.device(device_type="probe")
    rows = [{"timestamp": AT + at * MINUTE_MS, "data": {"t": at, "x": at / 2, "word": f"w{at}"}} for at in range(10)]
    service.send(device, {"readings": rows})
    return device


def minutes(answer: Any) -> list[int]:
    """Which of the ten readings an answer has."""
    return [row["t"] for row in answer.json.get("data", answer.json.get("telemetry"))]


def test_history_is_newest_first_and_bounded_by_time(nobody: Client, filled: RegisteredDevice) -> None:
    path = f"/api/v1/telemetry/{filled.id}"
    answer = nobody.get(f"{path}?start_time={AT}")
    assert answer.status == 200
    assert answer.json.keys() == HISTORY | {"iotdb_available"}
    assert (answer.json["device_id"], answer.json["device_name"]) == (filled.id, filled.name)
    assert (answer.json["device_type"], answer.json["iotdb_available"]) == ("probe", True)
    assert (answer.json["count"], answer.json["next_cursor"], answer.json["start_time"]) == (10, None, ISO)
    assert minutes(answer) == list(range(9, -1, -1))
    assert answer.json["data"][-1] == {"timestamp": ISO, "device_id": str(filled.id), "t": 0, "x": 0.0, "word": "w0"}
    assert minutes(nobody.get(f"{path}?start_time={AT}&order=asc")) == list(range(10))
    assert minutes(nobody.get(f"{path}?start_time={AT + MINUTE_MS}&end_time={AT + 3 * MINUTE_MS}")) == [2, 1]
    assert minutes(nobody.get(path)) == []


def test_one_instant_may_be_written_in_many_ways(nobody: Client, filled: RegisteredDevice) -> None:
    path = f"/api/v1/telemetry/{filled.id}?end_time={AT + 1}&start_time="
    for text in (
        "2023-11-14T22:13:20Z", "2023-11-14T22:13:20", "2023-11-14T22:13:20.000", "2023-11-14T23:13:20%2B01:00",
        "2023-11-14T23:13:20+01:00", "2023-11-14T17:13:20-05:00", "2023-11-14", "1700000000", "1700000000000",
        "1700000000000000", "1700000000000000000", "1699999999.5",
    ):  # fmt: skip
        assert minutes(nobody.get(path + text)) == [0], text
    days = (now_ms() - AT) // 86_400_000 + 1
    for text in (f"-{days}d", f"-{days * 24}h", f"-{days // 7 + 1}w", f"-{days}d12h"):
        assert minutes(nobody.get(path + text)) == [0], text


@pytest.mark.parametrize(
    "text", ["yesterday", "", "-1x", "-", "1h", "2023-13-01", "2023-02-30T00:00:00Z", "1e9", "%00"]
)
def test_what_is_no_instant_is_400_and_names_the_parameter(nobody: Client, filled: RegisteredDevice, text: str) -> None:
    for path, field in (
        (f"{filled.id}?start_time={text}", "start_time"),
        (f"{filled.id}?end_time={text}", "end_time"),
        (f"{filled.id}/range?from={text}", "from"),
        (f"{filled.id}/range?to={text}", "to"),
        (f"{filled.id}/aggregated?start_time={text}", "start_time"),
    ):
        answer = nobody.get(f"/api/v1/telemetry/{path}")
        assert (answer.status, answer.json["field"]) == (400, field)
        assert field in answer.json["message"]


def test_a_range_that_ends_before_it_begins_is_refused(nobody: Client, admin: Client, filled: RegisteredDevice) -> None:
    path = f"/api/v1/telemetry/{filled.id}"
    for answer, field in (
        (nobody.get(f"{path}?start_time=-1h&end_time=-2h"), "start_time"),
        (nobody.get(f"{path}/range?from=-1h&to=-2h"), "from"),
        (nobody.get(f"{path}/aggregated?start_time=-1h&end_time=-2h"), "start_time"),
        (admin.delete(f"{path}?start_time=-1h&stop_time=-2h"), "start_time"),
        (filled.client.get("/api/v1/devices/telemetry?start_time=-1h&end_time=-2h"), "start_time"),
    ):
        assert (answer.status, answer.json["field"]) == (400, field)
    assert minutes(nobody.get(f"{path}?start_time={AT}&end_time={AT}")) == []
    assert nobody.get(f"{path}/aggregated?start_time={AT}&end_time={AT}").json["data"] == []


def test_fields_choose_measurements(nobody: Client, filled: RegisteredDevice) -> None:
    path = f"/api/v1/telemetry/{filled.id}?start_time={AT}&limit=1&fields="
    assert nobody.get(path + "x").json["data"][0].keys() == {"timestamp", "device_id", "x"}
    assert nobody.get(path + "x,%20word,x").json["data"][0].keys() == {"timestamp", "device_id", "x", "word"}
    assert nobody.get(path + "nothing").json["data"] == []
    assert nobody.get(path + ",".join(f"f{number}" for number in range(257))).json["field"] == "fields"
    assert nobody.get(path + "f" * 65).status == 400


@pytest.mark.parametrize(
    ("path", "cap"), [("{id}", 10_000), ("{id}/range", 10_000), ("own", 1000), ("devices", 1000), ("audit", 1000)]
)
def test_a_limit_has_a_cap_and_the_error_says_it(
    service: Service, filled: RegisteredDevice, path: str, cap: int
) -> None:
    clients = {"own": filled.client, "devices": service.admin, "audit": service.admin}
    paths = {"own": "/api/v1/devices/telemetry", "devices": "/api/v1/admin/devices", "audit": "/api/v1/admin/audit"}
    client = clients.get(path, service.nobody)
    url = paths.get(path, f"/api/v1/telemetry/{path.format(id=filled.id)}")
    assert client.get(f"{url}?limit={cap}").status == 200
    for limit in (cap + 1, 0, -1, 10**30):
        answer = client.get(f"{url}?limit={limit}")
        assert (answer.status, answer.json["field"]) == (400, "limit")
        assert answer.json["limit"] == ("1" if limit < 1 else str(cap))
    for text in ("x", "", "1.5", "0x10", "1&limit=2"):
        answer = client.get(f"{url}?limit={text}")
        assert (answer.status, answer.json["field"]) == (400, "limit")


def test_a_device_reads_its_own_rows(filled: RegisteredDevice) -> None:
    answer = filled.client.get(f"/api/v1/devices/telemetry?start_time={AT}&limit=4&type=ignored")
    assert answer.status == 200
    assert answer.json.keys() == {"status", "telemetry", "count", "limit", "start_time", "next_cursor"}
    assert (answer.json["status"], answer.json["count"], answer.json["limit"]) == ("success", 4, 4)
    assert answer.json["start_time"] == ISO
    assert minutes(answer) == [9, 8, 7, 6]
    more = filled.client.get(f"/api/v1/devices/telemetry?start_time={AT}&cursor={answer.json['next_cursor']}")
    assert minutes(more) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("query", ["?order=asc&", "?order=desc&", "/range?"])
def test_pages_follow_each_other_without_gaps_or_repeats(
    nobody: Client, filled: RegisteredDevice, query: str, limit: int
) -> None:
    start = "from" if "range" in query else "start_time"
    path = f"/api/v1/telemetry/{filled.id}{query}{start}={AT}&limit={limit}"
    seen, cursor, pages = [], "", 0
    while cursor is not None:
        answer = nobody.get(f"{path}{cursor and '&cursor=' + cursor}")
        seen += minutes(answer)
        cursor, pages = answer.json["next_cursor"], pages + 1
    assert seen == (list(range(9, -1, -1)) if "desc" in query else list(range(10)))
    assert pages == math.ceil(10 / limit)


def test_pages_stay_whole_while_readings_come_in(service: Service, nobody: Client) -> None:
    """Newest first, what comes in during the walk is newer than its beginning: every older row is seen once."""
    device = service.device()
    rows = [{"timestamp": AT + at, "data": {"t": at}} for at in range(500)]
    service.send(device, {"readings": rows})
    stop = threading.Event()

    def write() -> None:
        at = 0
        while not stop.is_set():
            at += 1
            device.client.post("/api/v1/devices/telemetry", {"timestamp": AT + 10_000 + at, "data": {"t": 10_000 + at}})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen: list[int] = []
        cursor = ""
        while cursor is not None:
            path = f"/api/v1/telemetry/{device.id}?start_time={AT}&limit=7"
            answer = nobody.get(f"{path}{cursor and '&cursor=' + cursor}")
            seen += minutes(answer)
            cursor = answer.json["next_cursor"]
    finally:
        stop.set()
        writer.join()
    assert [at for at in seen if at < 10_000] == list(range(499, -1, -1))
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("cursor", ["x", "", "d", "d1e5", "d%205", "a1", "d99999999999999999", "%00", "d-", "d1_0"])
def test_a_foreign_cursor_is_refused(filled: RegisteredDevice, cursor: str) -> None:
    answer = filled.client.get(f"/api/v1/devices/telemetry?cursor={cursor}")
    assert (answer.status, answer.json["field"]) == (400, "cursor")


def test_latest_has_the_newest_value_of_each_measurement(service: Service, nobody: Client) -> None:
    device = service.device(device_type="probe")
    answer = nobody.get(f"/api/v1/telemetry/{device.id}/latest")
    assert (answer.status, answer.code) == (404, "no_telemetry")
    service.send(
        device, {"readings": [{"timestamp": AT + 1, "data": {"b": 2}}, {"timestamp": AT, "data": {"a": 1, "b": 0}}]}
    )
    found = nobody.get(f"/api/v1/telemetry/{device.id}/latest").json
    assert found.keys() == {"device_id", "device_name", "device_type", "latest_data", "measurements", "iotdb_available"}
    assert found["latest_data"] == {
        "timestamp": "2023-11-14T22:13:20.001Z",
        "device_id": str(device.id),
        "a": 1,
        "b": 2,
    }
    assert found["measurements"] == {
        "a": {"value": 1, "timestamp": ISO},
        "b": {"value": 2, "timestamp": "2023-11-14T22:13:20.001Z"},
    }


def test_a_range_of_telemetry_may_be_deleted(service: Service, holders: dict[Scope, Client], nobody: Client) -> None:
    device, deleter = service.device(), holders[Scope.TELEMETRY_DELETE]
    rows = [{"timestamp": AT + at, "data": {"a": at, "b": at}} for at in range(6)]
    service.send(device, {"readings": rows})
    path = f"/api/v1/telemetry/{device.id}"
    body = b'{"start_time": "2023-11-14T22:13:20Z", "stop_time": "2023-11-14T22:13:20.002Z"}'
    answer = deleter.call("DELETE", path, body, Content_Type="application/json")
    assert answer.status == 200
    assert answer.json.keys() == {"message", "device_id", "start_time", "stop_time", "fields", "deleted"}
    assert (answer.json["deleted"], answer.json["fields"]) == (2, None)
    assert (answer.json["start_time"], answer.json["stop_time"]) == (ISO, "2023-11-14T22:13:20.002Z")
    answer = deleter.delete(f"{path}?start_time={AT}&stop_time={AT + 4}&fields=a")
    assert (answer.json["deleted"], answer.json["fields"]) == (2, ["a"])
    body = b'{"start_time": %d, "stop_time": %d, "fields": ["a", "b"]}' % (AT + 5, AT + 6)
    assert deleter.call("DELETE", path, body).json["deleted"] == 1
    left = nobody.get(f"{path}/range?from={AT}").json["data"]
    assert [(row.get("a"), row["b"]) for row in left] == [(None, 2), (None, 3), (4, 4)]
    for query, field in (("", "start_time"), ("?start_time=-1h", "stop_time"), ("?start=-1h", "start")):
        answer = deleter.delete(path + query)
        assert (answer.status, answer.json["field"]) == (400, field)
