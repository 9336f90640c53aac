"""Words for the end of a process."""

import pytest

from infra.supervisor.child import describe_exit


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit code 0"), (3, "exit code 3"), (-9, "signal 9 (SIGKILL)"), (-64, "signal 64 (SIGRTMAX)")],
)
def test_exit_is_told_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
