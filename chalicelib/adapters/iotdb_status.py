"""What IoTDB's status codes mean for whoever asked. Source: seen on a real server 2.0.1-beta, see docs/iotdb.md."""

from enum import Enum, auto
from typing import Any

SUCCESS = frozenset({200, 400})
"""400 asks to send the next call to another node; the call itself was done."""

OUT_OF_TTL = 607
TOO_WIDE = 719
NO_SUCH_PATH = frozenset({508})
INTERNAL_ERROR = 305
NO_PRIVILEGE = 803
SERIES_EXISTS = 503
TOO_MANY_RULES = 612

_CREDENTIALS = frozenset({801, 802, NO_PRIVILEGE, 820, 822})
_NEVER = frozenset({301, 303, 501, 502, SERIES_EXISTS, 507, 508, 509, 609, TOO_MANY_RULES, 700, 701, 1100})


class Meaning(Enum):
    """What to do about a refusal."""

    RETRY = auto()
    NEVER = auto()
    EXPIRED = auto()
    CONFIGURATION = auto()


class Refusal(Exception):
    """The server answered, and it was not yes.

    Args:
        code: IoTDB's status code.
        message: The server's words.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    @property
    def meaning(self) -> Meaning:
        """507 is everything, by its text: read-only and full is transient, a wrong type or name is not."""
        if self.code == OUT_OF_TTL:
            return Meaning.EXPIRED
        if self.code in _CREDENTIALS:
            return Meaning.CONFIGURATION
        if self.code == 507 and "TSStatus(code:6" in self.message:
            return Meaning.RETRY
        return Meaning.NEVER if self.code in _NEVER else Meaning.RETRY

    @property
    def is_already_there(self) -> bool:
        """Whether a series that was to be made is there."""
        return self.code == SERIES_EXISTS or (self.code == 507 and "already exist" in self.message)

    @property
    def is_wrong_type(self) -> bool:
        """Whether a series exists with another type than the value's."""
        return self.code == 507 and "data type of" in self.message


def refusal(status: Any) -> Refusal | None:
    """What the server's TSStatus says; None for success.

    Of several refusals the one that counts is one that is not merely expired.
    """
    if status.subStatus:
        found = [one for one in map(refusal, status.subStatus) if one is not None]
        found.sort(key=lambda one: one.meaning is Meaning.EXPIRED)
        return found[0] if found else None
    if status.code in SUCCESS:
        return None
    return Refusal(status.code, status.message or "no reason given")
