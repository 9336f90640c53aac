"""Who may call what, written down by hand from the contract (section 3), not from the code.

Words in the table:

* ``all``: anybody.
* ``enrolment``: anybody in the local stage, elsewhere who has the enrolment token.
* ``operator``: anybody in the local stage, elsewhere any token.
* ``device``: an active device.
* ``owner``: the device itself or a token with commands:write, nowhere anybody.
* ``reader``: the device itself or a token with telemetry:read; in the local stage anybody.
* a scope: a token that has it, or admin.

The number is the status of a request that was let in; without the body that is needed, 400.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """One line of the contract."""

    method: str
    path: str
    who: str
    let_in: int
    body: bytes | None = None


A = "/api/v1/admin"
D = "/api/v1/devices"
T = "/api/v1/telemetry"
M = "/api/v1/mqtt"
TABLE = [
    Row("GET", "/", "all", 200),
    Row("GET", "/health", "all", 200),
    Row("GET", "/health?detailed=true", "operator", 200),
    Row("GET", "/status", "operator", 200),
    Row("GET", "/metrics", "operator", 200),
    Row("GET", "/openapi.json", "all", 200),
    Row("GET", "/docs", "all", 200),
    Row("POST", f"{D}/register", "enrolment", 400),
    Row("GET", f"{D}/status", "device", 200),
    Row("POST", f"{D}/heartbeat", "device", 200),
    Row("PUT", f"{D}/config", "device", 400),
    Row("GET", f"{D}/config", "device", 200),
    Row("POST", f"{D}/config", "device", 400),
    Row("POST", f"{D}/keys/rotate", "device", 200),
    Row("DELETE", f"{D}/unregister", "device", 200),
    Row("POST", f"{D}/telemetry", "device", 400),
    Row("POST", T, "device", 400),
    Row("GET", f"{D}/telemetry", "device", 200),
    Row("GET", f"{T}/{{device_id}}", "reader", 200),
    Row("GET", f"{T}/{{device_id}}/latest", "reader", 200),
    Row("GET", f"{T}/{{device_id}}/aggregated", "reader", 200),
    Row("GET", f"{T}/{{device_id}}/range", "reader", 200),
    Row("GET", f"{T}/{{device_id}}/export", "reader", 200),
    Row("DELETE", f"{T}/{{device_id}}", "telemetry:delete", 400),
    Row("GET", f"{T}/status", "operator", 200),
    Row("GET", f"{A}/devices", "devices:read", 200),
    Row("GET", f"{A}/devices/{{device_id}}", "devices:read", 200),
    Row("PUT", f"{A}/devices/{{device_id}}", "devices:write", 400),
    Row("DELETE", f"{A}/devices/{{device_id}}", "devices:write", 200),
    Row("PUT", f"{A}/devices/{{device_id}}/status", "devices:write", 200, b'{"status": "active"}'),
    Row("POST", f"{A}/devices/{{device_id}}/keys", "devices:write", 201),
    Row("DELETE", f"{A}/devices/{{device_id}}/keys/{{key_id}}", "devices:write", 200),
    Row("POST", f"{A}/devices/bulk", "devices:write", 400),
    Row("GET", f"{A}/device-types", "devices:read", 200),
    Row("GET", f"{A}/device-types/{{device_type}}/measurements", "devices:read", 200),
    Row("PUT", f"{A}/device-types/{{device_type}}/measurements", "devices:write", 400),
    Row("DELETE", f"{A}/device-types/{{device_type}}/measurements", "devices:write", 404),
    Row("GET", f"{A}/stats", "devices:read", 200),
    Row("GET", f"{A}/dashboard", "devices:read", 200),
    Row("GET", f"{A}/analytics", "telemetry:read", 200),
    Row("GET", f"{A}/dead-letters", "admin", 200),
    Row("GET", f"{A}/dead-letters/{{letter_id}}", "admin", 404),
    Row("POST", f"{A}/dead-letters/{{letter_id}}/replay", "admin", 404),
    Row("DELETE", f"{A}/dead-letters/{{letter_id}}", "admin", 404),
    Row("GET", f"{A}/audit", "admin", 200),
    Row("GET", f"{A}/tokens", "admin", 200),
    Row("POST", f"{A}/tokens", "admin", 400),
    Row("DELETE", f"{A}/tokens/{{token_id}}", "admin", 404),
    Row("GET", f"{D}/commands", "device", 200),
    Row("POST", f"{D}/commands/{{command_id}}/ack", "device", 404, b'{"status": "succeeded"}'),
    Row("GET", f"{A}/devices/{{device_id}}/commands", "devices:read", 200),
    Row("GET", f"{A}/devices/{{device_id}}/commands/{{command_id}}", "devices:read", 404),
    Row("DELETE", f"{A}/devices/{{device_id}}/commands/{{command_id}}", "commands:write", 404),
    Row("GET", f"{D}/twin", "device", 200),
    Row("PUT", f"{D}/twin", "device", 400),
    Row("GET", f"{A}/devices/{{device_id}}/twin", "devices:read", 200),
    Row("PUT", f"{A}/devices/{{device_id}}/twin", "commands:write", 200, b'{"desired": {"a": 1}}'),
    Row("GET", f"{D}/mqtt-credentials", "device", 200),
    Row("GET", f"{M}/status", "operator", 200),
    Row("POST", f"{M}/publish", "commands:write", 400),
    Row("POST", f"{M}/subscribe", "all", 410),
    Row("GET", f"{M}/topics/device/{{device_id}}", "owner", 200),
    Row("GET", f"{M}/topics/structure", "owner", 200),
    Row("POST", f"{M}/topics/validate", "owner", 400),
    Row("POST", f"{M}/device/{{device_id}}/command", "commands:write", 200, b'{"command_type": "reboot"}'),
    Row("POST", f"{M}/fleet/{{group_id}}/command", "commands:write", 404),
    Row("GET", f"{M}/monitoring/metrics", "operator", 200),
    Row("POST", f"{M}/telemetry/{{device_id}}", "device", 400),
]
DEVICES = frozenset({"own device", "other device"})
DEAD = frozenset({"expired token", "revoked key", "mistyped key"})
SCOPES = frozenset({"devices:read", "devices:write", "telemetry:read", "telemetry:delete", "commands:write", "admin"})
CALLERS = ("nobody", "enrollee", *sorted(DEVICES), "inactive device", *sorted(SCOPES), *sorted(DEAD))
IDS = ("own", "foreign", "absent")
"""Whose the device_id in the path is, as the own device sees it."""


def expected(row: Row, caller: str, whose: str, *, local: bool) -> int:
    """The status that the contract wants."""
    refused = _refusal(row.who, caller, local=local)
    if refused:
        return refused
    if "{device_id}" in row.path and (whose == "absent" or _is_foreign(caller, whose)):
        return 404
    return row.let_in


def _is_foreign(caller: str, whose: str) -> bool:
    return caller in DEVICES and whose != {"own device": "own", "other device": "foreign"}[caller]


def _refusal(who: str, caller: str, *, local: bool) -> int:
    """401, 403, or 0 for a caller who is let in."""
    if who == "all" or (who == "enrolment" and (local or caller == "enrollee")):
        return 0
    if caller in {"nobody", "enrollee"}:
        return 0 if local and who in {"operator", "reader"} else 401
    if who == "enrolment" or caller in DEAD:
        return 401
    allowed = {
        "operator": SCOPES,
        "device": DEVICES,
        "owner": DEVICES | {"commands:write", "admin"},
        "reader": DEVICES | {"telemetry:read", "admin"},
    }.get(who, frozenset({who, "admin"}))
    return 0 if caller in allowed else 403
