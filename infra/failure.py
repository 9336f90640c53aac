"""How a command ends when it cannot do what was asked: one sentence and an exit code, never a traceback."""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of `python3 -m infra`; scripts may rely on them."""

    OK = 0
    FAILED = 1
    BAD_OPTION = 2
    NOT_RUNNING = 3
    ALREADY_RUNNING = 4
    PORT_IN_USE = 5
    DATA_FOLDER = 6
    INSTALLATION = 7
    NOT_READY = 8
    INTERRUPTED = 130


class Failure(Exception):
    """A command cannot go on.

    Args:
        message: One sentence for the operator, with what to do about it.
        code: The exit code of the command.
    """

    def __init__(self, message: str, code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.code = code
