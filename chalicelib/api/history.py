"""Telemetry as it is read back, and deleted by who may."""

from collections.abc import Sequence
from typing import Any

from chalicelib import access, codec, times
from chalicelib import query as queries
from chalicelib.aggregates import AggregateRow, Fill
from chalicelib.api import telemetry_shapes as shapes
from chalicelib.calls import Call
from chalicelib.errors import InvalidInput
from chalicelib.http import Resource
from chalicelib.model import Device, Reading, Scope
from chalicelib.query import Aggregation
from chalicelib.wiring import services

resource = Resource(__name__, prefix="/api/v1", tag="Telemetry")
READS = ("devices:get", "readings:read")
LONG = {"memory_mb": 1024, "timeout_s": 29}
"""For rows by the thousand, or windows over years."""


@resource.get("/devices/telemetry", access=access.DEVICE, uses=READS, **LONG)
def read_own_telemetry(call: Call, query: shapes.OwnHistoryQuery) -> shapes.OwnHistoryOut:
    """Read the calling device's own rows, newest first."""
    page, start_ms, _ = _page(call, call.device, query, newest_first=True)
    return shapes.OwnHistoryOut(
        telemetry=_rows(page.readings),
        count=len(page.readings),
        limit=query.limit,
        start_time=times.to_iso(start_ms),
        next_cursor=page.next_cursor,
    )


@resource.get("/telemetry/{device_id}", access=access.READER, uses=READS, **LONG)
def read_telemetry(call: Call, device_id: int, query: shapes.HistoryQuery) -> shapes.HistoryOut:
    """Read rows of a device, by pages."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    page, start_ms, end_ms = _page(call, device, query, newest_first=query.order == "desc")
    return _history(device, page, start_ms, end_ms)


@resource.get("/telemetry/{device_id}/range", access=access.READER, uses=READS, **LONG)
def read_telemetry_range(call: Call, device_id: int, query: shapes.RangeQuery) -> shapes.HistoryOut:
    """Read rows of a device between two instants, oldest first."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    page, start_ms, end_ms = _page(call, device, query, newest_first=False)
    return _history(device, page, start_ms, end_ms)


@resource.get("/telemetry/{device_id}/latest", access=access.READER, uses=READS, errors=(404,))
def read_latest(call: Call, device_id: int) -> shapes.LatestOut:
    """Read the newest value of every measurement, each with its own time."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    newest = services().readings.latest(device.ref)
    queries.not_empty(bool(newest))
    last_ms = max(timestamp_ms for timestamp_ms, _ in newest.values())
    row = Reading(device.ref, last_ms, {name: value for name, (_, value) in newest.items()})
    return shapes.LatestOut(
        device_id=device.id,
        device_name=device.name,
        device_type=device.device_type,
        latest_data=codec.row_from_reading(row),
        measurements={name: {"value": value, "timestamp": times.to_iso(at)} for name, (at, value) in newest.items()},
    )


@resource.get("/telemetry/{device_id}/aggregated", access=access.READER, uses=READS, **LONG)
def read_aggregated(call: Call, device_id: int, query: shapes.AggregateParameters) -> shapes.AggregatedOut:
    """Aggregate a device's numbers in windows."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    asked = _asked(query)
    start_ms, end_ms = _span(call, query.start_time, query.end_time, "start_time", "end_time", open_end=1)
    rows = _aggregate(device, asked, start_ms, end_ms)
    return shapes.AggregatedOut(
        device_id=device.id,
        device_name=device.name,
        device_type=device.device_type,
        field=asked.measurements[0] if asked.measurements and len(asked.measurements) == 1 else None,
        aggregation=query.aggregation,
        window=query.window,
        start_time=times.to_iso(start_ms),
        end_time=times.to_iso(end_ms),
        data=_window_rows(rows, asked),
        count=len(rows),
    )


@resource.delete(
    "/telemetry/{device_id}",
    access=access.token(Scope.TELEMETRY_DELETE),
    uses=["devices:get", "readings:delete", "audit:write"],
)
def delete_telemetry(
    call: Call, device_id: int, query: shapes.DeleteQuery, body: shapes.DeleteBody
) -> shapes.DeletedOut:
    """Delete values with start_time <= timestamp < stop_time, of all measurements or of `fields`."""
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    start_ms = _required(call, body.start_time, query.start_time, "start_time")
    stop_ms = _required(call, body.stop_time, query.stop_time, "stop_time")
    queries.require_order(start_ms, stop_ms, start="start_time", end="stop_time")
    names = queries.field_names(body.fields or query.fields, field="fields")
    deleted = services().readings.delete(device.ref, start_ms=start_ms, end_ms=stop_ms, measurements=names)
    what = f"{times.to_iso(start_ms)} to {times.to_iso(stop_ms)}, {', '.join(names) if names else 'all measurements'}"
    call.audit(services().audit, "delete_telemetry", f"device:{device.id}", detail=what)
    return shapes.DeletedOut(
        message="Telemetry deleted",
        device_id=device.id,
        start_time=times.to_iso(start_ms),
        stop_time=times.to_iso(stop_ms),
        fields=list(names) if names else None,
        deleted=deleted,
    )


def _names(text: str | None, field: str) -> tuple[str, ...] | None:
    return queries.field_names(text, field=field)


def _aggregate(device: Device, asked: Aggregation, start_ms: int, end_ms: int) -> Sequence[AggregateRow]:
    return queries.aggregate(device.ref, asked, start_ms=start_ms, end_ms=end_ms, readings=services().readings)


def _asked(parameters: shapes.AggregateParameters) -> Aggregation:
    one = _names(parameters.field, "field") or ()
    return Aggregation(
        functions=queries.functions(parameters.aggregation),
        window=times.parse_window(parameters.window, field="window"),
        measurements=(*one, *(_names(parameters.fields, "fields") or ())) or None,
        fill=Fill(parameters.fill),
        timezone=queries.timezone(parameters.timezone, field="timezone"),
    )


def _window_rows(rows: Sequence[AggregateRow], asked: Aggregation) -> list[dict[str, Any]]:
    single = len(asked.functions) == 1 and asked.measurements is not None and len(asked.measurements) == 1
    answer: list[dict[str, Any]] = []
    for row in rows:
        entry: dict[str, Any] = {"timestamp": times.to_iso(row.start_ms)}
        for name, values in row.values.items():
            key = f"data.{name}" if name in {"timestamp", "value"} else name
            entry[key] = {word: values.get(function) for word, function in asked.functions.items()}
            if single:
                entry["value"] = next(iter(entry[key].values()))
        answer.append(entry)
    return answer


def _page(
    call: Call,
    device: Device,
    asked: shapes.OwnHistoryQuery | shapes.HistoryQuery | shapes.RangeQuery,
    *,
    newest_first: bool,
) -> tuple[queries.Page, int, int]:
    if isinstance(asked, shapes.RangeQuery):
        start_ms, end_ms = _span(call, asked.start, asked.end, "from", "to")
    else:
        start_ms, end_ms = _span(call, asked.start_time, asked.end_time, "start_time", "end_time")
    page = queries.history(
        device.ref,
        start_ms=start_ms,
        end_ms=end_ms,
        limit=asked.limit,
        newest_first=newest_first,
        measurements=_names(asked.fields, "fields"),
        cursor=asked.cursor,
        readings=services().readings,
    )
    return page, start_ms, end_ms


def _span(
    call: Call, start: str, end: str | None, start_field: str, end_field: str, open_end: int | None = None
) -> tuple[int, int]:
    """Start and end in ms. Without an end: past everything acceptable, or *open_end* ms after now."""
    start_ms = times.parse_instant(start, field=start_field, now_ms=call.now_ms, relative=True)
    if end is not None:
        end_ms = times.parse_instant(end, field=end_field, now_ms=call.now_ms, relative=True)
    else:
        end_ms = call.now_ms + (services().settings.future_s * 1000 + 1 if open_end is None else open_end)
    queries.require_order(start_ms, end_ms, start=start_field, end=end_field)
    return start_ms, end_ms


def _required(call: Call, in_body: str | float | None, in_query: str | None, field: str) -> int:
    value = in_body if in_body is not None else in_query
    if value is None:
        message = f"{field} is needed, in the body or in the query"
        raise InvalidInput(message, field=field)
    return times.parse_instant(value, field=field, now_ms=call.now_ms, relative=True)


def _history(device: Device, page: queries.Page, start_ms: int, end_ms: int) -> shapes.HistoryOut:
    return shapes.HistoryOut(
        device_id=device.id,
        device_name=device.name,
        device_type=device.device_type,
        start_time=times.to_iso(start_ms),
        end_time=times.to_iso(end_ms),
        data=_rows(page.readings),
        count=len(page.readings),
        next_cursor=page.next_cursor,
    )


def _rows(readings: Sequence[Reading]) -> list[dict[str, Any]]:
    return [dict(codec.row_from_reading(reading)) for reading in readings]
