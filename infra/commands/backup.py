"""`backup` and `restore`: an installation in one file, and back."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path

from chalicelib.settings import Settings
from infra import terminal
from infra.backup import reading, swap, writing
from infra.backup.manifest import PEPPER, Manifest, pepper_check
from infra.databases import present
from infra.environment import add_data_options
from infra.failure import Exit, Failure
from infra.installation import at_rest, clock_ms, in_words, settings_of


def add_backup(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE.tar.gz", type=Path, help="the archive to make")
    parser.add_argument("--replace", action="store_true", help="replace the file if it exists")
    parser.add_argument("--json", action="store_true", help="one line of JSON: file, size, and the manifest")
    add_data_options(parser)
    parser.epilog = "The service may run. Example: python3 -m infra backup iotflow-$(date +%F).tar.gz"
    parser.set_defaults(run=backup)


def backup(options: argparse.Namespace) -> int:
    """Write an archive with everything that was acknowledged before it began.

    Raises:
        Failure: There is nothing to back up, a database is damaged, or the file cannot be written.
    """
    settings = settings_of(options)
    target: Path = options.file.absolute()
    if settings.devices == "dynamodb":
        message = f"the records are in the DynamoDB table {settings.table}, which AWS backs up; see docs/aws.md"
        raise Failure(message, Exit.BAD_OPTION)
    if target.exists() and not options.replace:
        message = f"{target} exists; choose another name, or --replace"
        raise Failure(message, Exit.BAD_OPTION)
    if not target.parent.is_dir():
        message = f"there is no directory {target.parent}"
        raise Failure(message, Exit.BAD_OPTION)
    with in_words():
        manifest = writing.write(target, settings, present(settings), now_ms=clock_ms())
    size_bytes = target.stat().st_size
    if options.json:
        print(json.dumps({"file": str(target), "size_bytes": size_bytes, **manifest.model_dump()}))
    else:
        print("\n".join([*_contents(manifest), "", f"{target}  {_size(size_bytes)}", _about_pepper(manifest)]))
        if settings.store == "iotdb":
            print("The telemetry is in IoTDB and not in this archive: python3 -m infra export writes it.")
    return Exit.OK


def add_restore(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="an archive made by backup")
    parser.add_argument("--json", action="store_true", help="one line of JSON: created_at, replaced, files")
    add_data_options(parser)
    parser.epilog = "The service must be down. Example: python3 -m infra restore iotflow-2026-01-31.tar.gz"
    parser.set_defaults(run=restore)


def restore(options: argparse.Namespace) -> int:
    """Verify an archive, then put its files in the place of those that are there.

    Raises:
        Failure: Nothing was changed: the service runs, or the archive is damaged, foreign, or of a newer release.
    """
    settings = settings_of(options)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    with in_words(), reading.opened(options.file) as archive, at_rest(settings):
        refuse_wrong_pepper(archive.manifest, settings)
        staged = archive.stage(settings)
        try:
            replaced = swap.put_in_place(staged, settings, stamp=stamp)
        finally:
            reading.discard(staged)
    manifest = archive.manifest
    if options.json:
        report = {
            "replaced": str(replaced) if replaced else None,
            **manifest.model_dump(include={"created_at", "files"}),
        }
        print(json.dumps(report))
        return Exit.OK
    print("\n".join(_contents(manifest)))
    print(f"\n{settings.data} is as it was at {manifest.created_at}. Start it with python3 -m infra up.")
    if replaced:
        print(f"What was there before is in {replaced}; delete it when all is well.")
    return Exit.OK


def refuse_wrong_pepper(manifest: Manifest, settings: Settings) -> None:
    """Refuse a restore after which no key would work.

    Raises:
        Failure: The pepper that would be in effect is not that of the backup.
    """
    wanted = manifest.pepper_check
    if wanted is None or (manifest.holds_pepper and not settings.pepper):
        return
    if not settings.pepper or pepper_check(settings.pepper.encode()) != wanted:
        word = "is another" if settings.pepper else "is not set"
        message = f"the keys in this backup work with the IOTFLOW_PEPPER it was made with, and that {word} now"
        if manifest.holds_pepper:
            message = "IOTFLOW_PEPPER is set, and not to the pepper of this backup: no key would work; unset it"
        raise Failure(message, Exit.BAD_OPTION)


def _contents(manifest: Manifest) -> list[str]:
    rows = [("file", "schema", "size")]
    rows += [(each.name, str(each.schema_version or ""), _size(each.size_bytes)) for each in manifest.files]
    heading, *lines = terminal.table(rows)
    return [terminal.paint(heading, terminal.BOLD), *lines]


def _about_pepper(manifest: Manifest) -> str:
    if manifest.holds_pepper:
        return f"It holds the {PEPPER}, without which no key works: keep it as secret as the installation itself."
    return "It does not hold IOTFLOW_PEPPER, without which no key works: keep that elsewhere, too."


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1000:.1f} kB"
