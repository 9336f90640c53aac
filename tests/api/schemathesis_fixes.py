"""What JSON Schema cannot say: rules between values, and rules that depend on the present.

A generated request that is meant to be accepted is brought in line with them; one that is meant to be refused is left
as it is.
"""

import json
import uuid
from collections.abc import Callable
from typing import Any

from chalicelib.errors import InvalidInput
from chalicelib.times import parse_instant
from tests.api.service import now_ms

DEEPEST = 5
SCALARS = int | float | str | bool


def exact(value: Any, depth: int = DEEPEST) -> Any:
    """Integers within 64 bits, nesting within the limit: everywhere in a body."""
    if isinstance(value, dict):
        return {key: exact(item, depth - 1) for key, item in value.items()} if depth else {}
    if isinstance(value, list):
        return [exact(item, depth - 1) for item in value] if depth else []
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-(2**63), min(value, 2**63 - 1))
    return value


def measured(values: Any) -> dict[str, Any]:
    """Joined names within 64 characters, and at least one value."""
    kept: dict[str, Any] = {}
    for name, value in list(values.items())[:200]:
        if isinstance(value, dict | list) and not (len(name) < 30 and _flat(value)):
            continue
        if name and "." not in name:
            kept[name] = value
    return kept if any(isinstance(value, SCALARS) for value in kept.values()) else {**kept, "t": 1}


def _flat(value: Any) -> bool:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return all(len(str(name)) < 30 and not isinstance(item, dict | list) for name, item in items)


def reading(document: Any) -> Any:
    """The time of a reading is between 2000 and tomorrow."""
    if not isinstance(document.get("data"), dict):
        return measured(document)
    found: dict[str, Any] = {"data": measured(document["data"])}
    if document.get("timestamp") is not None:
        found["timestamp"] = now_ms() - 1000
    if isinstance(document.get("metadata"), dict):
        found["metadata"] = {
            name: value for name, value in document["metadata"].items() if len(name) < 50 and isinstance(value, SCALARS)
        }
    return found


def telemetry(case: Any) -> None:
    """The shapes that `payload_schema` describes."""
    body = case.body
    if case.media_type == "application/senml+json":
        labels = {"n", "u", "v", "vs", "vb"}
        records = [{label: item for label, item in record.items() if label in labels} for record in body]
        case.body = [{**record, "n": f"{record['n'][:20]}{at}"} for at, record in enumerate(records)]
    elif case.media_type == "application/senml+cbor":
        case.body = bytes.fromhex("81a2006168022a".replace("022a", "02182a"))
    elif isinstance(body.get("data"), dict):
        case.body = reading(body)
    elif isinstance(body.get("readings"), list):
        case.body = {"readings": [reading(item) for item in body["readings"][:50]]}
    else:
        case.body = measured(body)


def in_order(start: str, end: str) -> Callable[[Any], None]:
    """A range does not end before it begins; without an end it ends soon, so it must not begin later."""

    def fix(case: Any) -> None:
        query, present_ms = case.query, now_ms()
        try:
            start_ms = parse_instant(query.get(start, "-1h"), field=start, now_ms=present_ms, relative=True)
            end_ms = parse_instant(query.get(end, "now"), field=end, now_ms=present_ms, relative=True)
        except InvalidInput:
            return
        if start_ms >= end_ms - 1000:
            query[start] = "1000-01-01"

    return fix


def aggregated(case: Any) -> None:
    """A time zone that exists, and not more than 10 000 windows."""
    in_order("start_time", "end_time")(case)
    if "timezone" in case.query:
        case.query["timezone"] = "Europe/Berlin"
    if case.query.get("fill", "none") != "none":
        case.query |= {"start_time": "-24h", "end_time": "now", "window": "1h"}


def history(case: Any) -> None:
    """A cursor belongs to the direction in which it was given."""
    in_order("start_time", "end_time")(case)
    if "cursor" in case.query:
        digits = case.query["cursor"][1:]
        case.query["cursor"] = ("a" if case.query.get("order") == "asc" else "d") + digits


def own_history(case: Any) -> None:
    """Newest first, whatever else is asked."""
    case.query.pop("order", None)
    history(case)


def deletion(case: Any) -> None:
    """Both ends are needed, in the query or in the body."""
    case.query |= {"start_time": "-1h", "stop_time": "now"}
    if isinstance(case.body, dict):
        case.body = {name: value for name, value in case.body.items() if name == "fields"}


def new_token(case: Any) -> None:
    """It expires in the future, and its name is not taken."""
    if case.body.get("expires_at") is not None:
        case.body["expires_at"] = "2999-01-01"


def configuration(case: Any) -> None:
    """Text that is declared to be JSON is JSON."""
    if case.body.get("data_type") == "json" and isinstance(case.body["config_value"], str):
        case.body["config_value"] = json.dumps(case.body["config_value"])


def fetch(case: Any) -> None:
    """A device that waits for commands waits; nothing here is worth that."""
    case.query.pop("wait", None)


def publication(case: Any) -> None:
    """Only the commands of a device can be published to, and they are not retained."""
    case.body |= {"topic": "iotflow/devices/1/commands", "retain": False}


def versioned(case: Any) -> None:
    """1.0 is a whole number to JSON Schema, and none to a strict reader."""
    if isinstance(case.body.get("version"), float):
        case.body["version"] = int(case.body["version"])


FIXES: dict[str, Callable[[Any], None]] = {
    "submit_telemetry": telemetry,
    "submit_telemetry_short": telemetry,
    "forward_telemetry": telemetry,
    "fetch_commands": fetch,
    "publish": publication,
    "read_aggregated": aggregated,
    "read_telemetry": history,
    "read_own_telemetry": own_history,
    "read_telemetry_range": in_order("from", "to"),
    "export_telemetry": in_order("start_time", "end_time"),
    "read_analytics": in_order("start_time", "end_time"),
    "delete_telemetry": deletion,
    "create_token": new_token,
    "set_own_configuration": configuration,
    "report_state": versioned,
    "desire_state": versioned,
}


def acceptable(case: Any, name: str) -> Any:
    """The case of operation *name*, brought in line."""
    if isinstance(case.body, dict | list):
        case.body = exact(case.body)
    if "Idempotency-Key" in (case.headers or {}):  # another body under a used key is refused
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:20]}{uuid.uuid4().hex}"
    if name in FIXES:
        FIXES[name](case)
    return case
