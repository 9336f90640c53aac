"""Options, environment and .env: who wins, and what a file may hold."""

import argparse
from pathlib import Path

import pytest

from infra.environment import data_folder, gather, read_env_file
from infra.failure import Exit, Failure


def options(**given: str | None) -> argparse.Namespace:
    return argparse.Namespace(**{"env": None, "data": None, **given})


def test_option_wins_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("HOST=file\nPORT=1\nLOG_LEVEL=debug\n")
    merged = gather(options(env=str(file), port="3"), {"PORT": "2", "HOST": "environment", "HOME": "/"})
    assert merged == {"HOST": "environment", "PORT": "3", "LOG_LEVEL": "debug", "HOME": "/"}


def test_option_zero_is_an_option() -> None:
    """Port 0 takes a free port."""
    assert gather(options(port="0"), {"PORT": "2"})["PORT"] == "0"


def test_missing_file_is_refused_only_when_it_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"there is no file .*absent") as raised:
        gather(options(env=str(tmp_path / "absent")), {})
    assert raised.value.code == Exit.BAD_OPTION


def test_data_folder_is_absolute_and_var_when_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert data_folder({}) == tmp_path / "var"
    assert data_folder({"IOTFLOW_DATA": "elsewhere"}) == tmp_path / "elsewhere"
    assert data_folder({"IOTFLOW_DATA": " "}) == tmp_path / "var"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("X=1", "1"),
        ("export X=1", "1"),
        ("  X = 1  ", "1"),
        ("X=", ""),
        ("X=a b", "a b"),
        ("X=a # note", "a"),
        ("X=a#b", "a#b"),
        ("X='a # b'", "a # b"),
        ('X="a # b"  # note', "a # b"),
        ("X=redis://:p=w@h/0", "redis://:p=w@h/0"),
        ("X=''", ""),
    ],
)
def test_env_file_line_is_read(tmp_path: Path, line: str, value: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"# settings\n\n{line}\n")
    assert read_env_file(file) == {"X": value}


@pytest.mark.parametrize("line", ["X", "1X=2", "X Y=1", ": nothing"])
def test_env_file_with_another_line_is_refused_by_its_number(tmp_path: Path, line: str) -> None:
    file = tmp_path / ".env"
    file.write_text(f"A=1\n{line}\n")
    with pytest.raises(Failure, match="line 2 is not NAME=VALUE"):
        read_env_file(file)
