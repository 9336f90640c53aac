"""`export`: telemetry into files, while the service runs."""

import argparse
import json
from pathlib import Path

from chalicelib.model import Reading
from chalicelib.wiring import Services
from infra import terminal
from infra.environment import add_data_options
from infra.failure import Exit, Failure
from infra.installation import audit, clock_ms, in_words, open_records
from infra.transfer import exporting, progress, selection
from infra.transfer import manifest as manifests
from infra.transfer.exporting import Target
from infra.transfer.manifest import Manifest, Request
from infra.transfer.store import reach

FORMATS = ("jsonl", "csv", "parquet", "tsfile")


def add_export(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FILE|DIR",
        help="a file for csv and jsonl; else a directory of parts",
    )
    parser.add_argument("--devices", nargs="+", default=[selection.ALL], metavar="ID|NAME", help="which devices [all]")
    parser.add_argument("--type", nargs="+", metavar="TYPE", help="only devices of these types")
    parser.add_argument(
        "--from", dest="start", metavar="TIME", help="first instant: 2026-01-31T00:00:00Z, -7d [everything]"
    )
    parser.add_argument("--to", dest="end", default="now", metavar="TIME", help="the end, not included [now]")
    parser.add_argument("--measurements", nargs="+", metavar="NAME", help="only these [all]")
    parser.add_argument("--format", choices=FORMATS, help="what to write [as --out ends, or jsonl]")
    parser.add_argument("--wide", action="store_true", help="CSV with a column a measurement, for spreadsheets")
    parser.add_argument("--gzip", action="store_true", help="compress csv and jsonl; so does a file name with .gz")
    parser.add_argument("--replace", action="store_true", help="begin again where an export is, or was interrupted")
    parser.add_argument("--json", action="store_true", help="one line of JSON: out, readings, the manifest's head")
    add_data_options(parser)
    parser.epilog = (
        "An interrupted export goes on when the same command is given again. "
        "Example: python3 -m infra export --devices kitchen --from -7d --out kitchen.csv --wide"
    )
    parser.set_defaults(run=export)


def export(options: argparse.Namespace) -> int:
    """Write the readings, or those that an interrupted export has not written yet.

    Raises:
        Failure: There is no such device, the target is taken, or the store does not answer.
    """
    target, request = _target(options)
    services = reach(open_records(options), options)
    with in_words():
        manifest = _begun(request, target, services, replace=options.replace)
        with progress.bar("export", len(manifest.devices)) as bar:
            share = progress.Share(services.readings, manifest.end_ms)

            def tell(index: int, reading: Reading) -> None:
                bar.at(index + share.of(reading), exporting.TELL_EVERY)

            done = exporting.run(manifest, target, services.readings, tell)
        waiting = services.queue.ledger()
        audit(services, "export", f"telemetry:{len(done.devices)} devices", now_ms=clock_ms(), detail=str(target.path))
    _report(done, target, waiting.queued + waiting.in_flight, as_json=options.json)
    return Exit.OK


def _target(options: argparse.Namespace) -> tuple[Target, Request]:
    """Where to, and what; the name of a file may say the format."""
    path: Path = options.out.absolute()
    stem, packed = (path.stem, True) if path.suffix == ".gz" else (path.name, options.gzip)
    word = Path(stem).suffix.removeprefix(".")
    single = word in {"csv", "jsonl"}
    options.format = options.format or (word if single else "jsonl")
    if single and options.format != word:
        message = f"--out {path.name} does not fit --format {options.format}; " + (
            "give a directory"
            if options.format in {"parquet", "tsfile"}
            else f"take a name ending in .{options.format}"
        )
        raise Failure(message, Exit.BAD_OPTION)
    if single and packed != (path.suffix == ".gz"):
        message = f"--gzip wants a file name that ends in .gz: {path.name}.gz"
        raise Failure(message, Exit.BAD_OPTION)
    if path.suffix in {".parquet", ".tsfile"}:
        message = f"{options.format} is written in parts: give --out a directory"
        raise Failure(message, Exit.BAD_OPTION)
    return Target(path, single), selection.request_of(options, packed=packed)


def _begun(request: Request, target: Target, services: Services, *, replace: bool) -> Manifest:
    """The manifest of the interrupted export, or of a new one."""
    found = None if replace else manifests.read(target.manifest)
    if found is not None and (not found.complete or target.unfinished.exists()):
        if found.request != request:
            message = f"{target.manifest} is of an interrupted export with other options; --replace begins again"
            raise Failure(message, Exit.BAD_OPTION)
        return found
    if not replace and (target.path.is_file() or (target.path.is_dir() and any(target.path.iterdir()))):
        message = f"{target.path} exists; choose another name, or --replace"
        raise Failure(message, Exit.BAD_OPTION)
    if replace:
        _remove(target)
    if not target.path.parent.is_dir():
        message = f"there is no directory {target.path.parent}"
        raise Failure(message, Exit.BAD_OPTION)
    made = selection.begin(request, services.devices, services.readings, now_ms=clock_ms())
    if not target.single:
        target.path.mkdir(exist_ok=True)
    manifests.write(target.manifest, made)
    return made


def _remove(target: Target) -> None:
    """Remove an earlier export, and no file of others."""
    files = [target.path, target.unfinished] if target.single else sorted(target.path.glob("part-[0-9]*"))
    for file in [*files, target.manifest]:
        file.unlink(missing_ok=True)


def _report(manifest: Manifest, target: Target, waiting: int, *, as_json: bool) -> None:
    counts = manifest.readings
    if as_json:
        head = manifest.model_dump(include={"created_at", "start_ms", "end_ms"})
        print(json.dumps({"out": str(target.path), "readings": sum(counts.values()), "waiting": waiting, **head}))
        return
    rows = [("device", "readings"), *((device.name, f"{counts[device.id]:,}") for device in manifest.devices)]
    heading, *lines = terminal.table(rows)
    print("\n".join([terminal.paint(heading, terminal.BOLD), *lines]))
    print(f"\n{target.path}  {sum(counts.values()):,} readings from before {manifest.request.end}")
    if waiting:
        print(f"{waiting:,} accepted readings were still in the queue and may be missing here.")
