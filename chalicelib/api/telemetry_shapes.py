"""What clients ask and read of telemetry."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema

from chalicelib.aggregates import Function
from chalicelib.api.forms import BodyInstant, Instant, Names, WindowWidth
from chalicelib.declare import Answer, Body, Query
from chalicelib.query import ALIASES, CURSOR, CURSOR_OLDEST_FIRST

_FUNCTION = f"({'|'.join([*ALIASES, *Function])})"
FUNCTIONS_PATTERN = f"^{_FUNCTION}(,{_FUNCTION})*$"
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

    start_time: Instant = "-24h"
    end_time: Instant | None = None
    fields: Names | None = None
    limit: int = Field(100, ge=1, le=1000)
    cursor: str | None = Field(None, pattern=f"^{CURSOR}$")


class HistoryQuery(Query):
    """Rows of one device with start_time <= timestamp < end_time."""

    start_time: Instant = "-1h"
    end_time: Instant | None = None
    fields: Names | None = None
    limit: int = Field(1000, ge=1, le=10_000)
    order: Literal["asc", "desc"] = "desc"
    cursor: str | None = Field(None, pattern=f"^{CURSOR}$")


class RangeQuery(Query):
    """Rows with from <= timestamp < to, oldest first."""

    start: Instant = Field("-1h", alias="from")
    end: Instant | None = Field(None, alias="to")
    fields: Names | None = None
    limit: int = Field(1000, ge=1, le=10_000)
    cursor: str | None = Field(None, pattern=f"^{CURSOR_OLDEST_FIRST}$")


class ExportQuery(Query):
    """Readings of one device with start_time <= timestamp < end_time, oldest first; without times all until now."""

    form: Literal["csv", "jsonl"] = Field("csv", alias="format")
    start_time: Instant | None = None
    end_time: Instant = "now"
    fields: Names | None = None
    limit: int = Field(100_000, ge=1, le=100_000)
    cursor: str | None = Field(None, pattern=f"^{CURSOR_OLDEST_FIRST}$")


class AggregateParameters(Query):
    """Numbers in windows that start at whole multiples of their width."""

    aggregation: str = Field(
        "mean",
        description="one or several of these, comma-separated; mean is avg",
        json_schema_extra={"pattern": FUNCTIONS_PATTERN, "examples": ["avg,min,max"]},
    )
    window: WindowWidth = "1h"
    field: Names | None = None
    fields: Names | None = None
    start_time: Instant = "-24h"
    end_time: Instant | None = None
    fill: Literal["none", "null", "previous", "linear"] = "none"
    timezone: str = Field(
        "UTC", description="IANA name; where days, weeks and months begin", max_length=64, examples=["Europe/Berlin"]
    )


class DeleteQuery(Query):
    """The range to delete; the same names may stand in the body instead."""

    start_time: Instant | None = None
    stop_time: Instant | None = None
    fields: Names | None = None


class DeleteBody(Body):
    """The range to delete; the same names may stand in the query instead."""

    start_time: BodyInstant | None = None
    stop_time: BodyInstant | None = None
    fields: Names | list[Annotated[str, StringConstraints(max_length=64)]] | None = None


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
    warnings: list[str] = Field(description="settings of the store that can lose readings or let strangers in")
    queue: QueueOut
    ledger: LedgerOut
