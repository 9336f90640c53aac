"""Every published shape of payload, and whose it may be."""

import pytest

from chalicelib.errors import Forbidden, InvalidInput
from tests.unit.payloads import DEVICE, DEVICE_NAME, NOW_MS, found, send

ISO = "2025-07-03T14:29:50Z"
"""Ten seconds before the tests' now."""


def test_iotflow_payload_is_one_reading() -> None:
    body = {
        "api_key": "iotf_dev_secret",
        "data": {"temperature": 23.5, "motion": True, "state": "ok", "count": 3},
        "timestamp": ISO,
    }
    assert found(body) == [(-10_000, {"temperature": 23.5, "motion": True, "state": "ok", "count": 3})]


def test_iotflow_metadata_becomes_measurements_of_the_same_reading() -> None:
    body = {"data": {"t": 1}, "metadata": {"location": "roof", "fw": {"version": 2}, "nothing": None}}
    assert found(body) == [(0, {"t": 1, "meta_location": "roof", "meta_fw.version": 2})]


def test_iotflow_batch_is_many_readings() -> None:
    body = {"readings": [{"timestamp": ISO, "data": {"t": 1}}, {"ts": NOW_MS - 5, "data": {"t": 2}}]}
    assert found(body) == [(-10_000, {"t": 1}), (-5, {"t": 2})]


def test_batch_gives_its_time_and_metadata_to_readings_without() -> None:
    body = {
        "timestamp": ISO,
        "metadata": {"site": "a"},
        "readings": [{"data": {"t": 1}}, {"data": {"u": 2}, "ts": NOW_MS - 5, "metadata": {"site": "b"}}],
    }
    assert found(body) == [(-10_000, {"t": 1, "meta_site": "a"}), (-5, {"u": 2, "meta_site": "b"})]


def test_flat_payload_leaves_out_the_envelope() -> None:
    body = {
        "temperature": 23.5,
        "accelerometer": {"x": 1, "y": {"z": 2}},
        "axes": [1, 2.5],
        "spots": [{"t": 1}, {"t": 2}],
        "api_key": "secret",
        "device_id": "42",
        "timestamp": ISO,
        "metadata": {"a": 1},
    }
    assert found(body) == [
        (
            -10_000,
            {
                "temperature": 23.5,
                "accelerometer.x": 1,
                "accelerometer.y.z": 2,
                "axes.0": 1,
                "axes.1": 2.5,
                "spots.0.t": 1,
                "spots.1.t": 2,
                "meta_a": 1,
            },
        )
    ]


def test_thingsboard_payloads_single_and_array() -> None:
    assert found({"ts": NOW_MS - 1, "values": {"a": "v", "b": True}}) == [(-1, {"a": "v", "b": True})]
    assert found([{"ts": NOW_MS - 2, "values": {"a": 1}}, {"a": 2}]) == [(-2, {"a": 1}), (0, {"a": 2})]


def test_values_beside_other_keys_is_an_ordinary_object() -> None:
    assert found({"values": {"a": 1}, "unit": "C"}) == [(0, {"values.a": 1, "unit": "C"})]


def test_simulator_payload_keeps_measurements_and_status() -> None:
    body = {
        "device_id": DEVICE_NAME,
        "device_type": "smart_meter",
        "timestamp": "2025-07-03T14:29:50.123456",
        "measurements": {"power": 250, "proximity": None},
        "status": {"battery_level": 99.5, "uptime": 12},
    }
    assert found(body) == [(-9_877, {"power": 250, "status.battery_level": 99.5, "status.uptime": 12})]
    assert found({"measurements": {"a": 1}, "status": "online"}) == [(0, {"a": 1, "status": "online"})]
    assert found({"measurements": {"a": 1}}) == [(0, {"a": 1})]


@pytest.mark.parametrize("per_s", [1, 1000, 1_000_000, 1_000_000_000])
def test_telegraf_metric_is_named_by_name_tags_and_field(per_s: int) -> None:
    body = {
        "fields": {"usage_idle": 98.7, "usage_user": 1},
        "name": "cpu",
        "tags": {"host": "raynor", "cpu": "cpu0", "zone": "a"},
        "timestamp": NOW_MS // 1000 * per_s,
    }
    assert found(body) == [(0, {"cpu.cpu0.a.usage_idle": 98.7, "cpu.cpu0.a.usage_user": 1})]


def test_telegraf_batch_keeps_metrics_of_one_instant_apart() -> None:
    metrics = [
        {"fields": {"used_percent": 1.5}, "name": "mem", "tags": {"host": "h"}, "timestamp": NOW_MS // 1000},
        {"fields": {"used_percent": 2.5}, "name": "disk", "tags": {"path": "/"}, "timestamp": NOW_MS // 1000},
        {"fields": {"used_percent": 3.5}, "name": "disk", "tags": {"path": "/boot"}, "timestamp": NOW_MS // 1000},
    ]
    assert found({"metrics": metrics}) == [
        (0, {"mem.used_percent": 1.5}),
        (0, {"disk./.used_percent": 2.5}),
        (0, {"disk./boot.used_percent": 3.5}),
    ]


def test_list_under_metrics_that_is_not_telegraf_is_flattened() -> None:
    assert found({"metrics": [1, 2]}) == [(0, {"metrics.0": 1, "metrics.1": 2})]


def test_tasmota_time_near_ours_is_taken() -> None:
    body = {"Time": "2025-07-03T14:29:50", "AM2301": {"Temperature": 21.2, "Humidity": 40}, "TempUnit": "C"}
    assert found(body) == [(-10_000, {"AM2301.Temperature": 21.2, "AM2301.Humidity": 40, "TempUnit": "C"})]


@pytest.mark.parametrize("time", ["2025-07-03T16:29:50", "2025-07-03T14:24:59", "1970-01-01T00:00:05"])
def test_tasmota_time_of_another_zone_gives_way_to_arrival(time: str) -> None:
    assert found({"Time": time, "AM2301": {"Temperature": 21.2}}) == [(0, {"AM2301.Temperature": 21.2})]


def test_tasmota_time_with_a_zone_is_taken_however_old() -> None:
    assert found({"Time": "2025-07-03T10:30:00+02:00", "Vcc": 3}) == [(-6 * 3_600_000, {"Vcc": 3})]


def test_key_time_that_is_no_time_is_a_measurement() -> None:
    assert found({"Time": "late", "time": 12, "TIMESTAMP": 1}) == [(0, {"Time": "late", "time": 12, "TIMESTAMP": 1})]


def test_names_inside_data_are_never_envelope() -> None:
    """The predecessor's simulators send a naive time inside data; it is a measurement."""
    body = {"data": {"timestamp": "2025-07-03T16:00:00", "device_id": "other", "metadata": 1}}
    assert found(body) == [(0, {"timestamp": "2025-07-03T16:00:00", "device_id": "other", "metadata": 1})]


def test_readings_without_a_time_get_one_each_in_order() -> None:
    body = [{"a": 1}, {"a": 2, "ts": NOW_MS - 99}, {"a": 3}, {"a": 4}]
    assert found(body) == [(-2, {"a": 1}), (-99, {"a": 2}), (-1, {"a": 3}), (0, {"a": 4})]


@pytest.mark.parametrize("device_id", [42, "42", DEVICE_NAME, None])
@pytest.mark.parametrize("key", ["device_id", "deviceId"])
def test_own_name_in_the_body_is_no_measurement(key: str, device_id: object) -> None:
    assert found({key: device_id, "a": 1}) == [(0, {"a": 1})]
    assert found({"readings": [{key: device_id, "data": {"a": 1}}]}) == [(0, {"a": 1})]


@pytest.mark.parametrize("device_id", [43, "43", "", "greenhouse-8", True, 42.0, ["42"], {"id": 42}])
@pytest.mark.parametrize("key", ["device_id", "deviceId"])
def test_another_device_in_the_body_is_refused(key: str, device_id: object) -> None:
    for body in (
        {key: device_id, "a": 1},
        {key: device_id, "data": {"a": 1}},
        {key: device_id, "readings": [{"data": {"a": 1}}]},
        {"readings": [{"data": {"a": 1}}, {key: device_id, "data": {"a": 1}}]},
        [{key: device_id, "ts": NOW_MS, "values": {"a": 1}}],
    ):
        with pytest.raises(Forbidden) as caught:
            send(body)
        assert caught.value.code == "foreign_device"
        assert caught.value.field is not None
        assert caught.value.field.endswith(key)


def test_device_that_is_named_like_true_is_not_device_one() -> None:
    with pytest.raises(Forbidden):
        send({"device_id": bool(DEVICE.id), "a": 1})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"data": 5}, "data"),
        ({"data": [1]}, "data"),
        ({"data": None, "a": 1}, "data"),
        ({"data": {"a": 1}, "metadata": "roof"}, "metadata"),
        ({"a": 1, "metadata": [1]}, "metadata"),
        ({"readings": [{"data": {"a": 1}}, 5]}, "readings[1]"),
        ([{"a": 1}, [1]], "[1]"),
        ({"data": {"a": 1}, "timestamp": "noon"}, "timestamp"),
        ({"data": {"a": 1}, "timestamp": True}, "timestamp"),
        ({"data": {"a": 1}, "timestamp": "2025-07-03"}, "timestamp"),
        ({"readings": [{"data": {"a": 1}}, {"data": {"a": 1}, "ts": "x"}]}, "readings[1].ts"),
        ({"readings": [{"data": {"a": 1}}, {"data": {"a": 1}, "ts": 5}]}, "readings[1].timestamp"),
        ([{"a": 1, "timestamp": []}], "[0].timestamp"),
    ],
)
def test_fault_in_a_shape_names_its_place(body: object, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        send(body)
    assert caught.value.field == field


@pytest.mark.parametrize("body", [5, "text", True, None, 1.5])
def test_body_that_is_neither_object_nor_array_is_refused(body: object) -> None:
    with pytest.raises(InvalidInput):
        send(body)
