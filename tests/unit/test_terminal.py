"""How things are shown."""

import io

import pytest

from infra import terminal


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_duration_is_told_in_two_units(seconds: float, words: str) -> None:
    assert terminal.duration(seconds) == words


def test_table_columns_are_as_wide_as_their_widest_cell() -> None:
    assert terminal.table([("name", "n"), ("a", "10"), ("long name", "")]) == [
        "name       n",
        "a          10",
        "long name",
    ]


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_colour_is_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.paint("x", terminal.RED, Terminal()) == "\x1b[31mx\x1b[0m"
    assert terminal.paint("x", terminal.RED, io.StringIO()) == "x"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    assert terminal.paint("x", terminal.RED, Terminal()) == "x"
