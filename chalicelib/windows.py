"""Where aggregation windows begin and end, in any time zone: pure arithmetic on epoch milliseconds.

Windows follow the wall clock of the zone: 3 h windows begin at 00:00, 03:00, ... local time, days at local
midnight, weeks on Monday, months on the first. Where the clock changes, a window is as long as the wall clock says:
a local day has 23 or 25 hours, and the 3 h window that holds the change has 2 or 4. Only a window that the clock shows
twice as a whole is two windows: 1 h has 25 of them on the long day.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, islice
from typing import NamedTuple
from zoneinfo import ZoneInfo

from chalicelib.aggregates import Window
from chalicelib.errors import InvalidInput

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
MAX_WIDTH_MS = 36_525 * DAY_MS
MAX_MONTHS = 1_200
FIRST_MS = -2_208_988_800_000
"""1900-01-01T00:00Z: windows are known from here ..."""
LAST_MS = 221_845_392_000_000
"""... to 9000-01-01T00:00Z, well within what `datetime` can count."""

_MONDAY_MS = 4 * DAY_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOCAL_EPOCH = _EPOCH.replace(tzinfo=None)
_MILLISECOND = timedelta(milliseconds=1)


class Span(NamedTuple):
    """One window, half-open: ``start_ms <= t < end_ms``."""

    start_ms: int
    end_ms: int


class Run(NamedTuple):
    """Windows of one width that touch, the last of which may be cut: ``start_ms <= t < end_ms``."""

    start_ms: int
    end_ms: int
    width_ms: int

    @property
    def windows(self) -> int:
        """How many they are."""
        return -(-(self.end_ms - self.start_ms) // self.width_ms)


class Grid:
    """All windows of one width in one time zone. They touch, so every instant is in exactly one.

    Args:
        window: Up to 100 years. A width of whole weeks counts from a Monday, months count from January 1970, other
            widths from midnight of 1970-01-01, so that widths which divide a day begin at midnight every day.
        timezone: IANA name.

    Raises:
        InvalidInput: The width is not positive or too long (`window`), or the zone is unknown (`timezone`).
    """

    def __init__(self, window: Window, timezone: str = "UTC") -> None:
        if not (0 < window.width_ms <= MAX_WIDTH_MS or 0 < window.months <= MAX_MONTHS):
            message = "A window is longer than 0 and at most 100 years"
            raise InvalidInput(message, field="window", limit="100 years")
        self._months = window.months
        self._width_ms = window.width_ms
        self._anchor_ms = _MONDAY_MS if window.width_ms % WEEK_MS == 0 else 0
        self._zone = None if timezone.upper() == "UTC" else _zone(timezone)

    def containing(self, timestamp_ms: int) -> Span:
        """The window that *timestamp_ms*, between `FIRST_MS` and `LAST_MS`, lies in."""
        return Span(self._start(timestamp_ms), self._end(timestamp_ms))

    def spans(self, start_ms: int, end_ms: int) -> Iterator[Span]:
        """Every window that shares an instant with ``[start_ms, end_ms)``, in order of time."""
        while start_ms < end_ms:
            span = self.containing(start_ms)
            yield span
            start_ms = span.end_ms

    def runs(self, start_ms: int, end_ms: int, *, most: int) -> Iterator[Run]:
        """The windows of `spans`, those of one width together; the last run ends at *end_ms*.

        Where widths differ, windows are looked at one by one: with more than *most* of them there are no runs.
        """
        if start_ms >= end_ms:
            return
        if self._zone is None and self._width_ms:
            yield Run(self._start(start_ms), end_ms, self._width_ms)
            return
        spans = list(islice(self.spans(start_ms, end_ms), most + 1))
        if len(spans) > most:
            return
        for width_ms, group in groupby(spans, lambda span: span.end_ms - span.start_ms):
            together = list(group)
            yield Run(together[0].start_ms, min(together[-1].end_ms, end_ms), width_ms)

    def _start(self, timestamp_ms: int) -> int:
        offset_ms = self._offset_ms(timestamp_ms)
        start_ms = self._floor_wall(timestamp_ms + offset_ms) - offset_ms
        if self._offset_ms(start_ms - 1) == offset_ms:
            return start_ms
        change_ms = self._change(start_ms - 1, timestamp_ms, offset_ms)
        return change_ms if self._begins_at_change(change_ms) else self._start(change_ms - 1)

    def _end(self, timestamp_ms: int) -> int:
        offset_ms = self._offset_ms(timestamp_ms)
        end_ms = self._next_wall(self._floor_wall(timestamp_ms + offset_ms)) - offset_ms
        if self._offset_ms(end_ms) == offset_ms:
            return end_ms
        change_ms = self._change(end_ms, timestamp_ms, offset_ms)
        return change_ms if self._begins_at_change(change_ms) else self._end(change_ms)

    def _begins_at_change(self, change_ms: int) -> bool:
        """Whether a window begins where the clock changes: it left the one before, or shows all of it again."""
        before_ms, after_ms = self._offset_ms(change_ms - 1), self._offset_ms(change_ms)
        if self._floor_wall(change_ms - 1 + before_ms) != self._floor_wall(change_ms + after_ms):
            return True
        return 0 < self._width_ms <= before_ms - after_ms

    def _change(self, without_ms: int, with_ms: int, offset_ms: int) -> int:
        """The first instant after the zone's offset changed: it is *offset_ms* at *with_ms* but not at *without_ms*."""
        while abs(with_ms - without_ms) > 1:
            middle_ms = (without_ms + with_ms) // 2
            if self._offset_ms(middle_ms) == offset_ms:
                with_ms = middle_ms
            else:
                without_ms = middle_ms
        return max(without_ms, with_ms)

    def _floor_wall(self, wall_ms: int) -> int:
        if self._width_ms:
            return wall_ms - (wall_ms - self._anchor_ms) % self._width_ms
        month = _month(wall_ms)
        return _month_start(month - month % self._months)

    def _next_wall(self, wall_ms: int) -> int:
        if self._width_ms:
            return wall_ms + self._width_ms
        return _month_start(_month(wall_ms) + self._months)

    def _offset_ms(self, timestamp_ms: int) -> int:
        """What the zone's clocks are ahead of UTC at an instant."""
        if self._zone is None:
            return 0
        local = (_EPOCH + timestamp_ms * _MILLISECOND).astimezone(self._zone)
        return (local.replace(tzinfo=UTC) - local) // _MILLISECOND


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown; not a key; a folder of the database
        message = "The time zone is not an IANA name such as Europe/Berlin"
        raise InvalidInput(message, field="timezone") from error


def _month(wall_ms: int) -> int:
    """Months from January 1970."""
    day = _LOCAL_EPOCH + wall_ms * _MILLISECOND
    return (day.year - 1970) * 12 + day.month - 1


def _month_start(month: int) -> int:
    years, month_of_year = divmod(month, 12)
    return (datetime(1970 + years, 1 + month_of_year, 1) - _LOCAL_EPOCH) // _MILLISECOND  # noqa: DTZ001 - wall clock
