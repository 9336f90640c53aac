"""Lets ``python3 simulators/NAME.py`` work with the system's Python: the program goes on in the project's `.venv`.

Standard library only, and readable by a Python that is too old, so that it can say so.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OLDEST = (3, 11)
NEEDED = ("urllib3", "rich")


def continue_in_venv(script: str, *also: str) -> None:
    """Return when this Python has what the simulators need; else run `script` again in `.venv`, made when missing.

    Args:
        script: the path of the program's own file; it gets this process's arguments.
        also: packages that this program needs beside those of all.
    """
    sys.path[0] = str(ROOT)  # this folder's modules are the package's, and must not be top-level modules
    if sys.version_info < OLDEST:
        sys.exit("the simulators need Python 3.11 or newer, not {}.{}".format(*sys.version_info))
    venv = ROOT / ".venv"
    if (Path(sys.prefix) == venv or not venv.exists()) and all(find_spec(name) for name in (*NEEDED, *also)):
        return
    from infra.bootstrap import enter
    from infra.failure import Failure

    try:
        enter([str(Path(script).resolve()), *sys.argv[1:]])
    except Failure as failure:
        print(f"{failure}, or run: python3 -m infra up", file=sys.stderr)
        sys.exit(failure.code)
