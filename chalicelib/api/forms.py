"""How parameters are spelled, as patterns for programs that read the description; the parsers are the judges."""

from typing import Annotated, Any

from pydantic import Field, StrictFloat, StrictInt

_DATE = r"[12][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,9})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
_BACK = r"-[0-9]{1,4}[wdhms]|-[0-9]{1,4}h[0-9]{1,4}m"
INSTANT_PATTERN = rf"^({_DATE}(T{_TIME})?|[0-9]{{1,19}}(\.[0-9]{{1,9}})?|now|{_BACK})$"
WINDOW_PATTERN = (
    r"^([1-9][0-9]{0,6}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h"
    r"|([1-9][0-9]?|[12][0-9]{2}|3[0-5][0-9]|36[0-6])d|([1-9]|[1-4][0-9]|5[0-2])w|([1-9]|1[0-2])mo)$"
)
OVERLAP_PATTERN = r"^(0|[0-9]{1,6}s|[0-9]{1,4}m|([0-9]{1,2}|[1-6][0-9]{2}|7[01][0-9]|720)h|([0-9]|[12][0-9]|30)d)$"
NAMES_PATTERN = r"^[^,]{0,64}(,[^,]{0,64}){0,255}$"


def _spelled(pattern: str, description: str, *examples: str) -> Any:
    return Field(description=description, json_schema_extra={"pattern": pattern, "examples": list(examples)})


Instant = Annotated[
    str,
    _spelled(
        INSTANT_PATTERN,
        "ISO 8601 with any offset or none (UTC), epoch s, ms, us or ns, `now`, or back from now like -1h30m, -7d",
        "2025-07-03T14:30:00Z",
        "1751553000",
        "-24h",
    ),
]
FutureInstant = Annotated[str, _spelled(INSTANT_PATTERN, "like any instant, but in the future", "2099-12-31T00:00:00Z")]
BodyInstant = Annotated[Instant | StrictInt | StrictFloat, Field(union_mode="left_to_right")]
Names = Annotated[str, _spelled(NAMES_PATTERN, "measurement names, comma-separated", "temperature,humidity")]
WindowWidth = Annotated[
    str, _spelled(WINDOW_PATTERN, "a number with s, m, h, d, w or mo; at most 366d, 12mo", "10s", "5m", "1h", "1mo")
]
Overlap = Annotated[str, _spelled(OVERLAP_PATTERN, "a number with s, m, h or d; at most 30d", "24h", "0s")]
