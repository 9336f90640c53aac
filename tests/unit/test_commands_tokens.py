"""When a token that an operator makes expires."""

import pytest

from infra.commands.tokens import expiry_ms
from infra.failure import Exit, Failure

NOW_MS = 1_767_225_600_000
"""2026-01-01."""


@pytest.mark.parametrize(
    ("text", "expires_ms"),
    [
        (None, None),
        ("30d", NOW_MS + 30 * 86_400_000),
        ("1h30m", NOW_MS + 5_400_000),
        ("2026-02-01", 1_769_904_000_000),
        ("2026-01-31T12:00:00+01:00", 1_769_857_200_000),
    ],
)
def test_token_expires_after_a_duration_or_at_a_time(text: str | None, expires_ms: int | None) -> None:
    assert expiry_ms(text, NOW_MS) == expires_ms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("soon", "neither a duration such as 30d nor a time"),
        ("", "neither a duration"),
        ("0s", "is not in the future"),
        ("2025-12-31", "is not in the future"),
        ("-1h", "is not in the future"),
        ("now", "is not in the future"),
    ],
)
def test_token_that_would_be_dead_at_once_is_refused(text: str, words: str) -> None:
    with pytest.raises(Failure, match=words) as raised:
        expiry_ms(text, NOW_MS)
    assert raised.value.code == Exit.BAD_OPTION
