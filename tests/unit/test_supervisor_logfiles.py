"""Log files: their ends and their rotation."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.commands.logs import new_lines
from infra.supervisor.logfiles import last_lines, rotate


@given(lines=st.lists(st.text("ab é", max_size=50), max_size=30), count=st.integers(0, 40))
def test_last_lines_are_the_end_of_the_file(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], count: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "x.log"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    assert last_lines(path, count) == (lines[-count:] if count else [])


def test_last_lines_reach_back_over_many_blocks(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    lines = [f"{number} {'x' * 1000}" for number in range(300)]
    path.write_text("\n".join(lines))
    assert last_lines(path, 200) == lines[-200:]


def test_last_lines_of_no_file_are_none(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "absent.log", 5) == []


def test_rotation_keeps_so_many_old_files_and_the_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    with path.open("a") as writer:
        for generation in range(4):
            writer.write(f"{generation}" * 10)
            writer.flush()
            assert rotate(path, limit_bytes=10, kept=2)
        writer.write("last")
    assert path.read_text() == "last"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.log", "x.log.1", "x.log.2"]
    assert (tmp_path / "x.log.1").read_text() == "3" * 10
    assert (tmp_path / "x.log.2").read_text() == "2" * 10


def test_rotation_leaves_a_short_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("short")
    assert not rotate(path, limit_bytes=10)
    assert path.read_text() == "short"


def test_following_yields_whole_lines_also_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    lines = new_lines(path, 0)
    assert next(lines) == []
    path.write_text("one\ntw")
    assert next(lines) == ["one"]
    path.write_text("one\ntwo\n")
    assert next(lines) == ["two"]
    path.write_text("3\n")
    assert next(lines) == ["3"]
