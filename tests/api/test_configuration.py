"""Typed configuration values, as devices set and read them."""

from tests.api.service import RegisteredDevice

DEVICES = "/api/v1/devices"


def test_a_configuration_value_has_a_type(device: RegisteredDevice) -> None:
    sent = {
        "text": ("abc", "string", "abc", "abc"),
        "number_as_text": (30, "string", "30", "30"),
        "whole": ("30", "integer", "30", 30),
        "largest": (2**63 - 1, "integer", str(2**63 - 1), 2**63 - 1),
        "real": ("2.5", "float", "2.5", 2.5),
        "whole_real": (2, "float", "2.0", 2.0),
        "yes": ("true", "boolean", "true", True),
        "no": (False, "boolean", "false", False),
        "object": ({"a": [1, None]}, "json", '{"a": [1, null]}', {"a": [1, None]}),
        "json_text": ('{"a": 1}', "json", '{"a": 1}', {"a": 1}),
        "null": (None, "json", "null", None),
    }
    for key, (value, data_type, text, _) in sent.items():
        body = {"config_key": key, "config_value": value, "data_type": data_type}
        answer = device.client.post(f"{DEVICES}/config", body)
        assert answer.status == 200, answer.body
        assert answer.json.keys() == {"status", "message", "config_key", "config_value", "data_type"}
        assert answer.json["status"] == "success"
        assert (answer.json["config_key"], answer.json["config_value"], answer.json["data_type"]) == (
            key,
            text,
            data_type,
        )
    read = device.client.get(f"{DEVICES}/config").json
    assert read.keys() == {"status", "device_id", "configuration"}
    assert (read["status"], read["device_id"]) == ("success", device.id)
    for key, (_, data_type, _, kept) in sent.items():
        entry = read["configuration"][key]
        assert entry.keys() == {"value", "data_type", "updated_at"}
        assert (entry["value"], entry["data_type"]) == (kept, data_type)
        assert type(entry["value"]) is type(kept)


def test_a_configuration_value_of_another_type_is_refused(device: RegisteredDevice) -> None:
    for value, data_type in (
        ("abc", "integer"),
        (2.5, "integer"),
        (True, "integer"),
        ("1_000", "integer"),
        (" 1 ", "integer"),
        ("9" * 30, "integer"),
        (None, "integer"),
        ("x", "float"),
        ("nan", "float"),
        ("1e999", "float"),
        ("1_0", "float"),
        (True, "float"),
        ("maybe", "boolean"),
        (2, "boolean"),
        (None, "boolean"),
        (None, "string"),
        ({"a": 1}, "string"),
        ("{", "json"),
        ("NaN", "json"),
    ):
        body = {"config_key": "k", "config_value": value, "data_type": data_type}
        answer = device.client.post(f"{DEVICES}/config", body)
        assert (answer.status, answer.json.get("field")) == (400, "config_value"), (value, data_type, answer.json)


def test_a_configuration_value_needs_a_key_and_a_known_type(device: RegisteredDevice) -> None:
    for body, field in (
        ({"config_value": 1}, "config_key"),
        ({"config_key": "", "config_value": 1}, "config_key"),
        ({"config_key": "k" * 101, "config_value": 1}, "config_key"),
        ({"config_key": "a\x01", "config_value": 1}, "config_key"),
        ({"config_key": "k"}, "config_value"),
        ({"config_key": "k", "config_value": 1, "data_type": "int"}, "data_type"),
    ):
        answer = device.client.post(f"{DEVICES}/config", body)
        assert (answer.status, answer.json["field"]) == (400, field)
    assert device.client.get(f"{DEVICES}/config").json["configuration"] == {}
