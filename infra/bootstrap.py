"""The environment in `.venv`: made when missing, mended when stale, then entered. Standard library only.

`.venv/iotflow.json` says which requirement files are installed, by hash; it is written last, so an installation that
was interrupted is done again.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from infra.failure import Exit, Failure

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = tuple(ROOT / "infra" / "requirements" / name for name in ("local.txt", "iotdb.txt"))
DEVELOPER_REQUIREMENTS = (*REQUIREMENTS, ROOT / "requirements-dev.txt")
TAIL_LINES = 15
"""How much of pip's output is shown when it fails."""


def enter(arguments: Sequence[str], *, for_developers: bool = False, verbose: bool = False) -> None:
    """Return when this process runs in an up-to-date `.venv`; else mend it and replace this process.

    Args:
        arguments: What Python is to be called with in `.venv`, for example ``["-m", "infra", "up"]``.
        for_developers: Install what tests and checks need, too.
        verbose: Show pip's output as it comes.

    Raises:
        Failure: `.venv` cannot be made; the sentence says what to install.
    """
    files = DEVELOPER_REQUIREMENTS if for_developers else REQUIREMENTS
    environment = Environment(VENV)
    if not environment.is_fresh(files):
        with _alone():
            if not environment.is_fresh(files):
                environment.install(files, verbose=verbose)
    elif environment.is_running:
        return
    os.execv(environment.python, [str(environment.python), *arguments])  # noqa: S606 - the same program, in .venv


class Environment:
    """A virtual environment and the note in it of what it holds.

    Args:
        folder: Where it is, or will be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._note = folder / "iotflow.json"
        self._unfinished = folder / "iotflow-unfinished"

    @property
    def is_running(self) -> bool:
        """Whether this very process runs in it."""
        return Path(sys.prefix).resolve() == self.folder.resolve()

    @property
    def _is_there(self) -> bool:
        """Whether it has a Python, and the file that makes that Python its own."""
        return self.python.exists() and (self.folder / "pyvenv.cfg").exists()

    def is_fresh(self, files: Sequence[Path]) -> bool:
        """Whether it holds what *files* ask for."""
        if self._unfinished.exists() or not self._python_is_the_one_that_installed():
            return False
        return self._read_note().get(_key(files)) == digest(files)

    def install(self, files: Sequence[Path], *, verbose: bool = False) -> None:
        """Make it when it does not work, and install what *files* pin.

        Raises:
            Failure: Python's own tools are missing, pip failed, or the environment is another project's.
        """
        if self.folder.is_symlink():
            message = f"{self.folder} is a link, and this would change what it leads to; remove the link"
            raise Failure(message, Exit.INSTALLATION)
        if not self._works():
            self._make()
        print(
            f"Installing the pinned packages into {self.folder.name} (once; takes up to a minute) ...", file=sys.stderr
        )
        note = self._read_note()
        self._unfinished.touch()
        self._pip(files, verbose=verbose)
        note["python"] = self._version()
        for known in (REQUIREMENTS, DEVELOPER_REQUIREMENTS):
            if set(known) <= set(files):
                note[_key(known)] = digest(known)
        self._note.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
        self._unfinished.unlink()

    def _works(self) -> bool:
        """Whether pip may go on here: a complete environment whose Python is still there."""
        import subprocess

        if self._unfinished.exists() or not self._is_there:
            return False
        if self._note.exists() and not self._python_is_the_one_that_installed():
            return False
        return subprocess.run([self.python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0

    def _make(self) -> None:
        import subprocess

        if find_spec("venv") is None or find_spec("ensurepip") is None:
            message = "Python's venv module is not installed: apt-get install python3-venv"
            raise Failure(message, Exit.INSTALLATION)
        print(f"Making {self.folder.name} with Python {sys.version_info[0]}.{sys.version_info[1]} ...", file=sys.stderr)
        interpreter = getattr(sys, "_base_executable", sys.executable)
        made = subprocess.run(
            [interpreter, "-m", "venv", "--clear", self.folder], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            message = f"{self.folder} cannot be made: {(made.stdout + made.stderr).strip()}"
            raise Failure(message, Exit.INSTALLATION)

    def _pip(self, files: Sequence[Path], *, verbose: bool) -> None:
        import subprocess

        # The files name every package that is needed, and IoTDB's client must come without the ones that it asks for.
        command = [str(self.python), "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "--no-input"]
        for file in files:
            command += ["-r", str(file)]
        lines: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            for line in pip.stdout or ():
                lines.append(line)
                _show(line, verbose=verbose)
        if pip.returncode != 0:
            if pip.returncode > 0:  # pip gave up by itself and has put back what it had replaced
                self._unfinished.unlink()
            if not verbose:
                print("".join(lines[-TAIL_LINES:]), end="", file=sys.stderr)
            message = "pip could not install the pinned packages; its last words are above"
            raise Failure(message, Exit.INSTALLATION)

    def _python_is_the_one_that_installed(self) -> bool:
        """False when the system's Python was upgraded under an environment, whose packages it then does not see."""
        if not self._is_there:
            return False
        return self._read_note().get("python") == self._version()

    def _version(self) -> str:
        """Version of the environment's Python, ``3.11``, without starting it where that can be known."""
        own = Path(sys.executable).resolve()
        if self.python.resolve() == own or self.is_running:
            return f"{sys.version_info[0]}.{sys.version_info[1]}"
        import subprocess

        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        return subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=False).stdout.strip()

    def _read_note(self) -> dict[str, str]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}


@contextmanager
def _alone() -> Iterator[None]:
    """Hold the lock that keeps two installations apart; it lies on a file that is always there."""
    import fcntl

    with REQUIREMENTS[0].open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another installation to end ...", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _show(line: str, *, verbose: bool) -> None:
    """Show a line of pip's output, or on a terminal what pip is at, in one line that is overwritten."""
    if verbose:
        print(f"  {line}", end="", file=sys.stderr)
    elif sys.stderr.isatty():
        words = line.split()
        print(f"\r\x1b[K  {' '.join(words[:2])[:70]}\r", end="", file=sys.stderr, flush=True)


def _key(files: Sequence[Path]) -> str:
    return " + ".join(file.name for file in files)


def digest(files: Sequence[Path]) -> str:
    """What tells one state of *files* from another."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
