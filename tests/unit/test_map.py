"""The map of the package names everything that is in it, once."""

import re
from pathlib import Path

import chalicelib

FOLDER = Path(chalicelib.__file__).parent


def test_the_map_names_every_module_once() -> None:
    there = {path.stem for path in FOLDER.glob("*.py")} | {path.parent.name for path in FOLDER.glob("*/__init__.py")}
    entries = re.findall(r"^    ([a-z_0-9, ]+?)  ", chalicelib.__doc__ or "", re.MULTILINE)
    named = [name for entry in entries for name in entry.split(", ")]
    assert sorted(named) == sorted(there - {"__init__"})
