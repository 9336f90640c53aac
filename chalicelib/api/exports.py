"""Telemetry as a file, for spreadsheets and programs."""

from urllib.parse import urlencode

from chalicelib import access, exports, times
from chalicelib import query as queries
from chalicelib.api import telemetry_shapes as shapes
from chalicelib.calls import Call
from chalicelib.declare import Text
from chalicelib.exports import Format, Wanted
from chalicelib.http import Resource
from chalicelib.model import MIN_INT64, Device
from chalicelib.wiring import services

MAX_LINK_BYTES = 4096
"""API Gateway passes 10 kB of headers; with hundreds of names in `fields` the cursor has to do."""

resource = Resource(__name__, prefix="/api/v1", tag="Telemetry")


@resource.get(
    "/telemetry/{device_id}/export",
    access=access.READER,
    uses=("devices:get", "readings:read"),
    errors=(413,),
    media_types=tuple(exports.MEDIA_TYPES.values()),
    memory_mb=1024,
    timeout_s=29,
)
def export_telemetry(call: Call, device_id: int, query: shapes.ExportQuery) -> Text:
    """Download readings as a file, oldest first: CSV with a column a measurement, or JSON Lines.

    An answer holds up to 5 MB. When there is more, `Link` (rel="next") and `X-Next-Cursor` say how to go on; every page
    of CSV begins with its header. In CSV a cell that a spreadsheet might execute, and text that looks like a number or
    a boolean, begin with an apostrophe. `python3 -m infra import` reads both formats.
    """
    device = access.visible_device(call.principal, device_id, devices=services().devices)
    form, wanted = Format(query.form), _wanted(call, query)
    page = exports.page(device, wanted, form=form, cursor=query.cursor, limit=query.limit, readings=services().readings)
    call.answer_headers |= _headers(device, form, query, wanted.end_ms, page.next_cursor)
    return Text(f"{exports.MEDIA_TYPES[form]}; charset=utf-8", page.text)


def _wanted(call: Call, query: shapes.ExportQuery) -> Wanted:
    start_ms = MIN_INT64
    if query.start_time is not None:
        start_ms = times.parse_instant(query.start_time, field="start_time", now_ms=call.now_ms, relative=True)
    end_ms = times.parse_instant(query.end_time, field="end_time", now_ms=call.now_ms, relative=True)
    queries.require_order(start_ms, end_ms, start="start_time", end="end_time")
    return Wanted(start_ms, end_ms, queries.field_names(query.fields, field="fields"))


def _headers(
    device: Device, form: Format, query: shapes.ExportQuery, end_ms: int, next_cursor: str | None
) -> dict[str, str]:
    headers = {"Content-Disposition": f'attachment; filename="device-{device.id}.{form}"'}
    if next_cursor is not None:
        # The cursor goes on from later than the start; the end stays the same, whatever "now" is then.
        given = {"format": form, "end_time": times.to_iso(end_ms), "fields": query.fields, "limit": query.limit}
        asked = {name: value for name, value in given.items() if value is not None} | {"cursor": next_cursor}
        headers["X-Next-Cursor"] = next_cursor
        link = f'<export?{urlencode(asked)}>; rel="next"'
        if len(link) <= MAX_LINK_BYTES:
            headers["Link"] = link
    return headers
