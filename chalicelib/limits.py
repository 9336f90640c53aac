"""How large a payload may be, and what its readings may hold. Numbers only; `codec` applies them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadLimits:
    """Limits of one payload. The defaults are the published ones; settings may change them.

    Attributes:
        body_bytes: Largest payload with one reading.
        batch_bytes: Largest payload with several.
        depth: How many objects and arrays may be nested, the outermost counted.
        measurements: Most measurements in one reading, after flattening.
        readings: Most readings in one payload.
        text_bytes: Longest text value, in UTF-8.
        oldest_ms: Readings from before this instant are refused (2000-01-01).
        future_s: How far ahead of the server's clock a reading may be.
    """

    body_bytes: int = 64 * 1024
    batch_bytes: int = 1024 * 1024
    depth: int = 8
    measurements: int = 256
    readings: int = 1000
    text_bytes: int = 4096
    oldest_ms: int = 946_684_800_000
    future_s: int = 86_400


def bytes_in_words(count: int) -> str:
    """``"64 kB"`` for 65536, ``"1 MB"`` for 1048576: how limits are told to callers."""
    for size, unit in ((1024 * 1024, "MB"), (1024, "kB")):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"
