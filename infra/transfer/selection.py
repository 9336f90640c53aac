"""Which devices and which times the options of an export mean."""

import argparse
from collections.abc import Iterator, Sequence

from chalicelib import exports, times
from chalicelib.exports import Wanted
from chalicelib.model import DEFAULT_TENANT, MIN_INT64, Device, DeviceRef
from chalicelib.ports import DeviceFilter, DeviceRepository, ReadingStore
from chalicelib.query import require_order
from chalicelib.version import VERSION
from infra.failure import Exit, Failure
from infra.transfer.manifest import DeviceEntry, Manifest, Request

ALL = "all"
_PAGE = 500


def begin(request: Request, devices: DeviceRepository, store: ReadingStore, *, now_ms: int) -> Manifest:
    """The manifest of an export that has nothing yet: the end and the devices are fixed from now on.

    Raises:
        InvalidInput: A time that is none.
        Failure: A device that there is not.
    """
    start_ms = MIN_INT64
    if request.start is not None:
        start_ms = times.parse_instant(request.start, field="--from", now_ms=now_ms, relative=True)
    end_ms = times.parse_instant(request.end, field="--to", now_ms=now_ms, relative=True)
    require_order(start_ms, end_ms, start="--from", end="--to")
    chosen = choose(request.devices, request.types, devices)
    columns = None
    if request.wide:
        wanted = Wanted(start_ms, end_ms, request.measurements)
        columns = tuple(sorted({name for device in chosen for name in exports.columns(device.ref, wanted, store)}))
    return Manifest(
        release=VERSION,
        created_at=times.to_iso(now_ms),
        request=request,
        start_ms=start_ms,
        end_ms=end_ms,
        devices=tuple(_entry(device) for device in chosen),
        columns=columns,
    )


def choose(wanted: Sequence[str], types: Sequence[str], devices: DeviceRepository) -> list[Device]:
    """Devices by id or name, or all, of these types if any are given; by id ascending.

    Raises:
        Failure: There is no such device.
    """
    found: dict[int, Device] = {}
    for word in wanted:
        if word == ALL:
            found |= {device.id: device for device in everyone(DEFAULT_TENANT, devices)}
            continue
        device = devices.get(DeviceRef(DEFAULT_TENANT, int(word))) if word.isascii() and word.isdecimal() else None
        device = device or devices.find(DEFAULT_TENANT, word)
        if device is None:
            message = f"there is no device with the id or name {word}"
            raise Failure(message, Exit.BAD_OPTION)
        found[device.id] = device
    return [found[device_id] for device_id in sorted(found) if not types or found[device_id].device_type in types]


def everyone(tenant: str, devices: DeviceRepository) -> Iterator[Device]:
    """All devices of a tenant, by id."""
    after_id = 0
    while page := devices.page(tenant, DeviceFilter(), after_id=after_id, limit=_PAGE):
        yield from page
        after_id = page[-1].id


def request_of(options: argparse.Namespace, *, packed: bool) -> Request:
    """The options, as the manifest keeps them.

    Raises:
        Failure: They contradict each other.
    """
    if options.wide and options.format != "csv":
        message = "--wide is a form of --format csv"
        raise Failure(message, Exit.BAD_OPTION)
    if packed and options.format not in {"csv", "jsonl"}:
        message = f"{options.format} is compressed already: --gzip is for csv and jsonl"
        raise Failure(message, Exit.BAD_OPTION)
    return Request(
        devices=tuple(options.devices),
        types=tuple(options.type or ()),
        start=options.start,
        end=options.end,
        measurements=tuple(dict.fromkeys(options.measurements)) if options.measurements else None,
        format=options.format,
        wide=options.wide,
        gzip=packed,
    )


def _entry(device: Device) -> DeviceEntry:
    return DeviceEntry.model_validate({name: getattr(device, name) for name in DeviceEntry.model_fields})
