"""What clients ask and read of telemetry."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from chalicelib.declare import Answer, Body, Query

ROW_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "A reading: timestamp, device_id, and each measurement under its own name.",
    "properties": {"timestamp": {"type": "string", "format": "date-time"}, "device_id": {"type": "string"}},
    "required": ["timestamp", "device_id"],
    "additionalProperties": {"type": ["number", "string", "boolean"]},
}
Row = Annotated[Any, WithJsonSchema(ROW_SCHEMA)]
"""Rows come from the store and are not validated again: a page has up to 10 000."""

WindowRow = Annotated[
    Any,
    WithJsonSchema(
        {
            "type": "object",
            "description": "A window's start, and per measurement its aggregates; `value` with one of each.",
            "properties": {"timestamp": {"type": "string", "format": "date-time"}},
            "required": ["timestamp"],
        }
    ),
]

INSTANT = "ISO 8601, epoch s/ms/us/ns, now, or relative like -24h"
PAYLOAD_SCHEMA: dict[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {
                "data": {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 64,
                    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,31}$"},
                    "additionalProperties": {"type": ["number", "string", "boolean"], "maxLength": 1000},
                },
                "metadata": {
                    "type": "object",
                    "maxProperties": 32,
                    "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]{0,31}$"},
                    "additionalProperties": {"type": ["number", "string", "boolean"], "maxLength": 1000},
                },
                "timestamp": {"type": "string", "format": "date-time"},
            },
            "required": ["data"],
        },
        "examples": {
            "iotflow": {"value": {"data": {"temperature": 23.5, "humidity": 65.2}}},
            "batch": {"value": {"readings": [{"data": {"temperature": 23.5}}, {"data": {"temperature": 23.6}}]}},
        },
    },
    "application/senml+json": {"schema": {"type": "array"}},
    "application/senml+cbor": {"schema": {"type": "string", "format": "binary"}},
}


def _is_none(value: object) -> bool:
    return value is None


class AcceptedOut(Answer):
    """Readings that are durable. `stored` is present when the caller preferred to wait for it."""

    message: str
    device_id: int
    device_name: str
    timestamp: str
    readings: int
    stored_in_iotdb: bool = True
    stored: bool | None = Field(None, exclude_if=_is_none)


class OwnHistoryQuery(Query):
    """A device's own rows, newest first. Unknown parameters are ignored: old firmware sends some."""

    model_config = ConfigDict(extra="ignore", defer_build=True)

    start_time: str = Field("-24h", description=INSTANT)
    end_time: str | None = Field(None, description=INSTANT)
    fields: str | None = Field(None, description="measurement names, comma-separated")
    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = None


class HistoryQuery(Query):
    """Rows of one device with start_time <= timestamp < end_time."""

    start_time: str = Field("-1h", description=INSTANT)
    end_time: str | None = Field(None, description=INSTANT)
    fields: str | None = Field(None, description="measurement names, comma-separated")
    limit: int = Field(1000, ge=1, le=10_000)
    order: Literal["asc", "desc"] = "desc"
    cursor: str | None = None


class RangeQuery(Query):
    """Rows with from <= timestamp < to, oldest first."""

    start: str = Field("-1h", alias="from", description=INSTANT)
    end: str | None = Field(None, alias="to", description=INSTANT)
    fields: str | None = Field(None, description="measurement names, comma-separated")
    limit: int = Field(1000, ge=1, le=10_000)
    cursor: str | None = None


class AggregateParameters(Query):
    """Numbers in windows that start at whole multiples of their width."""

    aggregation: str = Field("mean", description="avg (= mean) sum count min max first last median stddev p50 ... p99")
    window: str = Field("1h", description="10s 5m 1h 1d 1w 1mo")
    field: str | None = Field(None, description="one measurement")
    fields: str | None = Field(None, description="several, comma-separated; default: every numeric one")
    start_time: str = Field("-24h", description=INSTANT)
    end_time: str | None = Field(None, description=INSTANT)
    fill: Literal["none", "null", "previous", "linear"] = "none"
    timezone: str = Field("UTC", description="IANA name; where days, weeks and months begin", max_length=64)


class DeleteQuery(Query):
    """The range to delete; the same names may stand in the body instead."""

    start_time: str | None = None
    stop_time: str | None = None
    fields: str | None = None


class DeleteBody(Body):
    """The range to delete; the same names may stand in the query instead."""

    start_time: str | int | None = None
    stop_time: str | int | None = None
    fields: str | list[str] | None = None


class OwnHistoryOut(Answer):
    """A device's own rows."""

    status: Literal["success"] = "success"
    telemetry: list[Row]
    count: int
    limit: int
    start_time: str
    next_cursor: str | None


class HistoryOut(Answer):
    """Rows of one device."""

    device_id: int
    device_name: str
    device_type: str
    start_time: str
    end_time: str
    data: list[Row]
    count: int
    next_cursor: str | None
    iotdb_available: bool = True


class NewestValue(Answer):
    """The newest value of a measurement, and when it was measured."""

    value: float | int | bool | str
    timestamp: str


class LatestOut(Answer):
    """The newest value of every measurement; `latest_data` has them as one row, at the newest of their times."""

    device_id: int
    device_name: str
    device_type: str
    latest_data: Row
    measurements: dict[str, Any]
    iotdb_available: bool = True


class AggregatedOut(Answer):
    """Aggregates by window."""

    device_id: int
    device_name: str
    device_type: str
    field: str | None
    aggregation: str
    window: str
    start_time: str
    end_time: str
    data: list[WindowRow]
    count: int
    iotdb_available: bool = True


class DeletedOut(Answer):
    """What was deleted."""

    message: str
    device_id: int
    start_time: str
    stop_time: str
    fields: list[str] | None
    deleted: int


class QueueOut(Answer):
    """The queue: messages' readings that wait, and the age of the oldest in seconds."""

    queued: int
    in_flight: int
    dead_lettered: int
    oldest_age_s: float


class LedgerOut(Answer):
    """Where every accepted reading is; `balanced` says that none is unaccounted for."""

    accepted: int
    stored: int
    queued: int
    in_flight: int
    dead_lettered: int
    discarded: int
    balanced: bool


class TelemetryStatusOut(Answer):
    """The state of the pipeline: the store was asked, not guessed."""

    iotdb_available: bool
    iotdb_host: str
    iotdb_port: int
    iotdb_database: str
    store: str
    total_devices: int
    status: Literal["healthy", "unavailable"]
    queue: QueueOut
    ledger: LedgerOut
