"""Desired and reported state of devices: merged, compared, told.

Both sides are JSON objects. A change is a merge patch (RFC 7396): null deletes a key, objects are merged, everything
else, arrays too, is replaced whole.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib import times
from chalicelib.errors import Conflict, TooLarge
from chalicelib.limits import bytes_in_words
from chalicelib.model import DeviceRef, Twin
from chalicelib.ports import TwinRepository

MAX_STATE_BYTES = 8192
"""Of each side, as compact JSON in UTF-8."""
UPDATE_TRIES = 5


def desire(
    device: DeviceRef, patch: Mapping[str, Any], *, twins: TwinRepository, now_ms: int, version: int | None = None
) -> Twin:
    """Change what a device is asked to be.

    Args:
        device: Which.
        patch: A merge patch.
        twins: Where it is kept.
        now_ms: Server time.
        version: Change only this version; None: whichever there is.

    Returns:
        The twin afterwards; a patch that changes nothing leaves the version as it is.

    Raises:
        Conflict: The twin has another version (code ``stale_version``).
        TooLarge: The state would have more than `MAX_STATE_BYTES`.
    """

    def edit(twin: Twin) -> Twin:
        desired = _merged(twin.desired, patch, "desired")
        return twin if same(desired, twin.desired) else replace(twin, desired=desired, desired_updated_ms=now_ms)

    return _change(device, edit, twins=twins, version=version)


def report(
    device: DeviceRef,
    patch: Mapping[str, Any],
    *,
    twins: TwinRepository,
    now_ms: int,
    version: int | None = None,
    whole: bool = False,
) -> Twin:
    """Change what a device says it is; otherwise like `desire`.

    With *whole*, each key of the patch is replaced whole, objects too: so the predecessor's clients mean it.

    Raises:
        Conflict: The twin has another version (code ``stale_version``).
        TooLarge: The state would have more than `MAX_STATE_BYTES`.
    """

    def edit(twin: Twin) -> Twin:
        kept = {key: value for key, value in twin.reported.items() if not whole or key not in patch}
        reported = _merged(kept, patch, "reported")
        return twin if same(reported, twin.reported) else replace(twin, reported=reported, reported_updated_ms=now_ms)

    return _change(device, edit, twins=twins, version=version)


def _change(device: DeviceRef, edit: Callable[[Twin], Twin], *, twins: TwinRepository, version: int | None) -> Twin:
    """Write an edit of the newest twin, again if somebody else was faster and no version was asked for."""
    for _ in range(UPDATE_TRIES):
        twin = twins.get(device)
        if version is not None and twin.version != version:
            break
        edited = edit(twin)
        if edited is twin:
            return twin
        try:
            return twins.put(edited)
        except Conflict as error:
            if error.code != "stale_version":
                raise
    message = "The twin was changed meanwhile; read it again"
    raise Conflict(message, field="version", code="stale_version")


def _merged(state: Mapping[str, Any], patch: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    merged: Mapping[str, Any] = merge_patch(state, patch)
    size_bytes = len(json.dumps(merged, ensure_ascii=False, separators=(",", ":")).encode())
    if size_bytes > MAX_STATE_BYTES:
        limit = bytes_in_words(MAX_STATE_BYTES)
        message = f"{field} would have {size_bytes} bytes as JSON, at most {limit} are kept"
        raise TooLarge(message, field=field, limit=limit)
    return merged


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch; neither argument is changed.

    Source: RFC 7396, section 2.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def delta(desired: Mapping[str, Any], reported: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of *desired* that *reported* lacks or has otherwise; what only *reported* has does not count."""
    differing = {}
    for key, value in desired.items():
        told = reported.get(key)
        if isinstance(value, Mapping) and isinstance(told, Mapping):
            deeper = delta(value, told)
            if deeper:
                differing[key] = deeper
        elif key not in reported or not same(value, told):
            differing[key] = value
    return differing


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 is 1.0, but true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def message(twin: Twin) -> dict[str, Any]:
    """What the retained message on a device's config topic says; a device ignores a version it has seen."""
    return {
        "version": twin.version,
        "config": dict(twin.desired),
        "delta": delta(twin.desired, twin.reported),
        "timestamp": times.to_iso(twin.desired_updated_ms) if twin.desired_updated_ms is not None else None,
    }
