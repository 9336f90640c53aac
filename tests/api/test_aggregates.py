"""Numbers in windows, as readers get them."""

from typing import Any

import pytest

from tests.api.client import Client
from tests.api.service import RegisteredDevice, Service

AT = 1_700_000_000_000
MINUTE_MS = 60_000


@pytest.fixture(scope="module")
def filled(service: Service) -> RegisteredDevice:
    """A device with ten readings, one a minute."""
    device = service.device(device_type="probe")
    rows = [{"timestamp": AT + at * MINUTE_MS, "data": {"t": at, "x": at / 2, "word": f"w{at}"}} for at in range(10)]
    service.send(device, {"readings": rows})
    return device


def aggregated(client: Client, device: RegisteredDevice, query: str) -> Any:
    path = f"/api/v1/telemetry/{device.id}/aggregated?start_time={AT}&end_time={AT + 10 * MINUTE_MS}&{query}"
    answer = client.get(path)
    assert answer.status == 200, answer.body
    return answer.json


def test_aggregates_come_in_windows(nobody: Client, filled: RegisteredDevice) -> None:
    found = aggregated(nobody, filled, "aggregation=avg,min,max&window=5m")
    assert found.keys() == {
        "device_id", "device_name", "device_type", "field", "aggregation", "window", "start_time", "end_time", "data",
        "count", "iotdb_available",
    }  # fmt: skip
    assert (found["aggregation"], found["window"], found["field"], found["count"]) == ("avg,min,max", "5m", None, 3)
    starts = [row["timestamp"][11:16] for row in found["data"]]
    assert starts == ["22:10", "22:15", "22:20"]
    assert found["data"][0] == {
        "timestamp": "2023-11-14T22:10:00.000Z",
        "t": {"avg": 0.5, "min": 0, "max": 1},
        "x": {"avg": 0.25, "min": 0.0, "max": 0.5},
    }


def test_one_field_and_one_function_also_give_a_plain_value(nobody: Client, filled: RegisteredDevice) -> None:
    found = aggregated(nobody, filled, "field=t&aggregation=mean&window=1h")
    assert (found["field"], found["aggregation"]) == ("t", "mean")
    assert found["data"] == [{"timestamp": "2023-11-14T22:00:00.000Z", "t": {"mean": 4.5}, "value": 4.5}]
    assert "value" not in aggregated(nobody, filled, "field=t&aggregation=mean,max&window=1h")["data"][0]
    assert "value" not in aggregated(nobody, filled, "aggregation=mean&window=1h")["data"][0]


def test_every_function_is_known(nobody: Client, filled: RegisteredDevice) -> None:
    words = "avg,mean,sum,count,min,max,first,last,median,stddev,p50,p90,p95,p99"
    found = aggregated(nobody, filled, f"field=t&aggregation={words}&window=1d")["data"][0]["t"]
    assert list(found) == words.split(",")
    assert (found["sum"], found["count"], found["first"], found["last"], found["median"]) == (45, 10, 0, 9, 4.5)
    assert found["stddev"] == pytest.approx(2.8722813)
    assert found["p90"] == pytest.approx(8.1)


def test_gaps_may_be_filled(service: Service, nobody: Client) -> None:
    device = service.device()
    service.send(
        device,
        {"readings": [{"timestamp": AT + at * MINUTE_MS, "data": {"t": at}} for at in (0, 4)]},
    )
    filled = {
        fill: [row["value"] for row in aggregated(nobody, device, f"field=t&window=1m&fill={fill}")["data"]]
        for fill in ("none", "null", "previous", "linear")
    }
    assert filled["none"] == [0.0, 4.0]
    assert filled["null"][:5] == [0.0, None, None, None, 4.0]
    assert filled["previous"][:5] == [0.0, 0.0, 0.0, 0.0, 4.0]
    assert filled["linear"][:5] == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_days_begin_where_the_caller_is(nobody: Client, filled: RegisteredDevice) -> None:
    found = aggregated(nobody, filled, "field=t&window=1d&timezone=Asia/Tokyo")
    assert [row["timestamp"] for row in found["data"]] == ["2023-11-14T15:00:00.000Z"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("aggregation=average", "aggregation"), ("aggregation=", "aggregation"),
        ("aggregation=avg,,min", "aggregation"),
        ("window=0s", "window"), ("window=1y", "window"), ("window=", "window"), ("window=367d", "window"),
        ("window=13mo", "window"), ("window=1s&start_time=-30d&fill=null", "window"), ("fill=zero", "fill"),
        ("timezone=Mars/Olympus", "timezone"), ("timezone=../../etc/passwd", "timezone"), ("timezone=", "timezone"),
        ("timezone=Europe", "timezone"), ("aggregate=avg", "aggregate"),
    ],
)  # fmt: skip
def test_what_cannot_be_aggregated_is_refused_by_name(
    nobody: Client, filled: RegisteredDevice, query: str, field: str
) -> None:
    answer = nobody.get(f"/api/v1/telemetry/{filled.id}/aggregated?{query}")
    assert (answer.status, answer.json["field"]) == (400, field), answer.json
