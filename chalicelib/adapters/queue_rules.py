"""The rules that both local queues follow, so that they cannot drift apart. No I/O."""

import itertools
import os
import secrets
from collections.abc import Iterable

from chalicelib.errors import InvalidInput, TooLarge

CLOCK_GRACE_MS = 1000
"""A receive whose clock is this much behind the one before is a race between processes, not a clock that stepped."""

_start = secrets.token_hex(4)
_numbers = itertools.count()


def new_message_id(now_ms: int) -> str:
    """An id that no other message has, in rough order of time.

    The process id keeps forks apart, the random start keeps a reused process id apart, the number all else.
    """
    return f"{now_ms:012x}-{os.getpid():06x}{_start}{next(_numbers):010x}"


def receipt(number: int, receive_count: int) -> str:
    """Names one delivery of the message with this number; numbers are never used again."""
    return f"{number}.{receive_count}"


def numbers_of(receipts: Iterable[str]) -> dict[str, int]:
    """Each different receipt with its message's number; what no queue of ours gave out is left out."""
    parts = ((each, each.partition(".")[0]) for each in receipts)
    return {each: int(number) for each, number in parts if number.isascii() and number.isdecimal() and len(number) < 19}


def body_bytes(body: str, limit_bytes: int, *, readings: int) -> int:
    """Size of *body* as UTF-8, of a message that may be sent.

    Raises:
        TooLarge: Over *limit_bytes*.
        InvalidInput: Lone surrogates, which no queue can hold.
        ValueError: A negative number of readings; a mistake in the caller that would fail a whole group's commit.
    """
    if readings < 0:
        message = f"readings: {readings} is negative"
        raise ValueError(message)
    try:
        size_bytes = len(body) if body.isascii() else len(body.encode())
    except UnicodeEncodeError:
        message = "The message is not valid Unicode"
        raise InvalidInput(message, field="body") from None
    if size_bytes > limit_bytes:
        message = f"The message has {size_bytes} bytes, the queue takes {limit_bytes}"
        raise TooLarge(message, field="body", limit=f"{limit_bytes} bytes")
    return size_bytes


def visible(*, taken_ms: int, visible_ms: int, now_ms: int) -> bool:
    """Whether a message hidden from *taken_ms* until *visible_ms* may be received.

    A message taken in the future was taken by a clock that stepped back since: it may be received at once,
    because nobody knows how much of its time is over.
    """
    return visible_ms <= now_ms or taken_ms > now_ms + CLOCK_GRACE_MS


def spent_reason(receive_count: int) -> str:
    """Why a message that was received too often is a dead letter."""
    return f"Received {receive_count} times and never stored"


def part_of(readings: int, whole: int) -> int:
    """How many readings are left when *readings* of *whole* are taken out.

    Raises:
        ValueError: Not a part of it; a mistake in the caller that would put the ledger out of balance.
    """
    if not 0 <= readings <= whole:
        message = f"readings: {readings} of a message that has {whole}"
        raise ValueError(message)
    return whole - readings
