"""One call of every endpoint that succeeds, as the proxy event that API Gateway would send to its function."""

import json
import uuid
from typing import Any, NamedTuple

from chalicelib.declare import Endpoint

A, D, T = "/api/v1/admin", "/api/v1/devices", "/api/v1/telemetry"
DEVICE, ADMIN, NOBODY = "device", "admin", "nobody"


class Sample(NamedTuple):
    """Who calls, with which path parameters, query and body. Words in braces are filled in by the test."""

    who: str
    parameters: dict[str, str] | None = None
    query: dict[str, str] | None = None
    body: Any = None
    status: int = 200


_DEVICE_ID = {"device_id": "{device_id}"}
_COMMAND = {**_DEVICE_ID, "command_id": "{command_id}"}
_DEVICE_TYPE = {"device_type": "sensor"}
_LETTER = {"letter_id": "{letter_id}"}
_RANGE = {"from": "-1d", "to": "now"}
_SPAN = {"start_time": "-1d", "stop_time": "now"}

SAMPLES: dict[str, Sample] = {
    "read_root": Sample(NOBODY),
    "read_health": Sample(ADMIN, query={"detailed": "true"}),
    "read_status": Sample(ADMIN),
    "read_metrics": Sample(ADMIN),
    "read_openapi": Sample(NOBODY),
    "read_docs": Sample(NOBODY),
    "read_telemetry_status": Sample(ADMIN),
    "register_device": Sample(NOBODY, body={"name": "attic", "device_type": "sensor"}, status=201),
    "read_own_status": Sample(DEVICE),
    "send_heartbeat": Sample(DEVICE),
    "change_own_record": Sample(DEVICE, body={"location": "attic", "configuration": {"interval_s": 30}}),
    "read_own_configuration": Sample(DEVICE),
    "set_own_configuration": Sample(DEVICE, body={"config_key": "interval_s", "config_value": "30"}),
    "rotate_own_key": Sample(DEVICE, body={}),
    "unregister_device": Sample(DEVICE),
    "submit_telemetry": Sample(DEVICE, body={"data": {"temperature": 21.5}}, status=201),
    "submit_telemetry_short": Sample(DEVICE, body={"data": {"temperature": 21.5}}, status=201),
    "read_own_telemetry": Sample(DEVICE),
    "read_telemetry": Sample(DEVICE, _DEVICE_ID),
    "read_telemetry_range": Sample(DEVICE, _DEVICE_ID, _RANGE),
    "read_latest": Sample(DEVICE, _DEVICE_ID),
    "read_aggregated": Sample(DEVICE, _DEVICE_ID, {"aggregation": "avg", "window": "1h", "start_time": "-1d"}),
    "export_telemetry": Sample(DEVICE, _DEVICE_ID, {"format": "csv", "start_time": "-1d"}),
    "list_declarations": Sample(ADMIN),
    "read_declarations": Sample(ADMIN, _DEVICE_TYPE),
    "declare_measurements": Sample(ADMIN, _DEVICE_TYPE, body={"measurements": {"temperature": "FLOAT"}}),
    "drop_declarations": Sample(ADMIN, _DEVICE_TYPE),
    "delete_telemetry": Sample(ADMIN, _DEVICE_ID, body=_SPAN),
    "list_devices": Sample(ADMIN, query={"online": "true"}),
    "read_device": Sample(ADMIN, _DEVICE_ID),
    "change_device": Sample(ADMIN, _DEVICE_ID, body={"location": "attic"}),
    "change_device_status": Sample(ADMIN, _DEVICE_ID, body={"status": "inactive"}),
    "delete_device": Sample(ADMIN, _DEVICE_ID),
    "issue_device_key": Sample(ADMIN, _DEVICE_ID, status=201),
    "revoke_device_key": Sample(ADMIN, {**_DEVICE_ID, "key_id": "{key_id}"}),
    "register_devices": Sample(ADMIN, body={"devices": [{"name": "cellar", "device_type": "sensor"}]}),
    "read_stats": Sample(ADMIN),
    "read_dashboard": Sample(ADMIN),
    "read_analytics": Sample(ADMIN),
    "list_dead_letters": Sample(ADMIN),
    "read_dead_letter": Sample(ADMIN, _LETTER),
    "replay_dead_letter": Sample(ADMIN, _LETTER),
    "discard_dead_letter": Sample(ADMIN, _LETTER),
    "read_audit": Sample(ADMIN),
    "list_tokens": Sample(ADMIN),
    "create_token": Sample(ADMIN, body={"name": "grafana", "scopes": ["telemetry:read"]}, status=201),
    "revoke_token": Sample(ADMIN, {"token_id": "{token_id}"}),
    "send_command": Sample(ADMIN, _DEVICE_ID, body={"command_type": "reboot"}),
    "send_group_command": Sample(ADMIN, {"group_id": "hall"}, body={"command": {"type": "reboot"}}),
    "fetch_commands": Sample(DEVICE, query={"wait": "1"}),
    "answer_command": Sample(DEVICE, {"command_id": "{command_id}"}, body={"status": "succeeded"}),
    "list_commands": Sample(ADMIN, _DEVICE_ID),
    "read_command": Sample(ADMIN, _COMMAND),
    "cancel_command": Sample(ADMIN, _COMMAND),
    "read_own_twin": Sample(DEVICE),
    "report_state": Sample(DEVICE, body={"reported": {"interval_s": 30}}),
    "read_twin": Sample(ADMIN, _DEVICE_ID),
    "desire_state": Sample(ADMIN, _DEVICE_ID, body={"desired": {"interval_s": 30}}),
    "read_mqtt_status": Sample(ADMIN),
    "read_mqtt_metrics": Sample(ADMIN),
    "read_mqtt_credentials": Sample(DEVICE),
    "list_device_topics": Sample(DEVICE, _DEVICE_ID),
    "list_topics": Sample(DEVICE),
    "validate_topic": Sample(DEVICE, body={"topic": "iotflow/devices/1/telemetry"}),
    "publish": Sample(ADMIN, body={"topic": "iotflow/devices/1/commands/control", "payload": {"on": True}}),
    "subscribe": Sample(NOBODY, body={"topic": "#"}, status=410),
    "forward_telemetry": Sample(DEVICE, _DEVICE_ID, body={"data": {"temperature": 21.5}}, status=201),
}

MORE: dict[str, tuple[Sample, ...]] = {
    "list_devices": (Sample(ADMIN),),
    "change_device": (Sample(ADMIN, _DEVICE_ID, body={"name": "loft"}),),
    "change_own_record": (Sample(DEVICE, body={"configuration": {"interval_s": 60}}),),
    "set_own_configuration": (Sample(DEVICE, body={"config_key": "interval_s", "config_value": "60"}),),
    "report_state": (Sample(DEVICE, body={"reported": {"interval_s": 60}}),),
    "desire_state": (Sample(ADMIN, _DEVICE_ID, body={"desired": {"interval_s": 60}}),),
    "replay_dead_letter": (Sample(ADMIN, {"letter_id": "all"}),),
}
"""Further calls, which take rights that the sample does not."""


def proxy_event(declared: Endpoint, sample: Sample, words: dict[str, str]) -> dict[str, Any]:
    """The event of payload format 1.0.

    Args:
        declared: Whose route it is.
        sample: What is sent.
        words: What stands for the words in braces; ``device`` and ``admin`` are credentials.
    """
    parameters = {name: value.format(**words) for name, value in (sample.parameters or {}).items()}
    headers = {"Content-Type": "application/json", "X-Forwarded-Proto": "https"}
    if sample.who == DEVICE:
        headers["X-API-Key"] = words["device"]
    if sample.who == ADMIN:
        headers["Authorization"] = f"Bearer {words['admin']}"
    return {
        "resource": declared.path,
        "path": declared.path.format(**parameters),
        "httpMethod": declared.method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": sample.query,
        "multiValueQueryStringParameters": {name: [value] for name, value in sample.query.items()}
        if sample.query
        else None,
        "pathParameters": parameters or None,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": declared.path,
            "httpMethod": declared.method,
            "path": declared.path,
            "requestId": str(uuid.uuid4()),
            "stage": "prod",
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": None if sample.body is None else json.dumps(sample.body).replace("{device_id}", words["device_id"]),
        "isBase64Encoded": False,
    }
