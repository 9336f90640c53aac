"""`migrate`: every embedded database to the schema of this release."""

import argparse
import json

from infra import terminal
from infra.databases import databases
from infra.environment import add_data_options
from infra.failure import Exit
from infra.installation import in_words, settings_of


def add_migrate(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="one line of JSON: file, from, to")
    add_data_options(parser)
    parser.epilog = "A start does the same; back up first. Example: python3 -m infra migrate"
    parser.set_defaults(run=migrate)


def migrate(options: argparse.Namespace) -> int:
    """Bring every database forward, and say from which version to which.

    Raises:
        Failure: One was written by a newer release, or cannot be read; then none was changed.
    """
    with in_words():
        found = databases(settings_of(options))
        versions = {each.name: each.refuse_newer() if each.path.exists() else None for each in found}
        for each in found:
            if versions[each.name] is not None:
                each.migrate()
    if options.json:
        existing = [each for each in found if versions[each.name] is not None]
        print(
            json.dumps([{"file": str(each.path), "from": versions[each.name], "to": each.newest} for each in existing])
        )
        return Exit.OK
    rows = [("file", "schema", "")]
    rows += [(each.name, *_change(versions[each.name], each.newest)) for each in found]
    heading, *lines = terminal.table(rows)
    print("\n".join([terminal.paint(heading, terminal.BOLD), *lines]))
    return Exit.OK


def _change(version: int | None, newest: int) -> tuple[str, str]:
    if version is None:
        return "-", "made at the first start"
    return (str(newest), "is the newest") if version == newest else (f"{version} -> {newest}", "migrated")
