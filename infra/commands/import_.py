"""`import`: files of readings into the store, while the service runs."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from chalicelib import devices
from chalicelib.errors import InvalidInput
from chalicelib.model import DEFAULT_TENANT, DeviceDraft, DeviceRef
from chalicelib.strict_json import shown
from chalicelib.wiring import Services
from infra import terminal
from infra.environment import add_data_options
from infra.failure import Exit, Failure
from infra.installation import audit, clock_ms, in_words, open_records
from infra.transfer import manifest as manifests
from infra.transfer import progress, sources
from infra.transfer.importing import Importer, Progress
from infra.transfer.manifest import DeviceEntry, Manifest
from infra.transfer.store import reach

DEVICE_TYPE = "sensor"


def add_import(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", type=Path, metavar="FILE|DIR", help="what export made, or a file of the same form")
    parser.add_argument("--map", nargs="+", default=[], metavar="OLD=NEW", help="the name here of a device in the file")
    parser.add_argument("--create-devices", action="store_true", help="register the devices that there are not")
    parser.add_argument("--check", action="store_true", help="only read and check; store nothing")
    parser.add_argument("--json", action="store_true", help="one line of JSON: values by device, created")
    add_data_options(parser)
    parser.epilog = (
        "Stores directly, under the limits of what devices send; the ledger counts only what devices sent. Importing "
        "again changes nothing. Example: python3 -m infra import kitchen.csv --map kitchen=kitchen-2"
    )
    parser.set_defaults(run=import_files)


def import_files(options: argparse.Namespace) -> int:
    """Store every reading of the files, or stop at the first that cannot be stored.

    Raises:
        Failure: Names file, line and field of what is malformed, or the device that is missing.
    """
    with in_words():
        files, manifest = find(options.source.absolute())
    services = reach(open_records(options), options)
    names = Names(services, renamed(options.map), manifest, create=options.create_devices and not options.check)
    with in_words(), progress.bar("import", sum(file.stat().st_size for file in files)) as bar:
        names.require_all()
        behind = 0.0
        importer = Importer(
            None if options.check else services.readings,
            names.resolve,
            now_ms=clock_ms(),
            limits=services.limits,
            tell=lambda readings: bar.at(behind, readings),
        )
        progresses = []
        for file in files:
            progresses.append(Progress(services.settings.data / "imports", file, [options.map, options.check]))
            importer.take(file, progresses[-1])
            behind += file.stat().st_size
        for each in progresses:
            each.forget()
        if not options.check:
            audit(
                services,
                "import",
                f"telemetry:{len(importer.values)} devices",
                now_ms=clock_ms(),
                detail=str(options.source),
            )
    _report(importer.values, names.created, options)
    return Exit.OK


def find(source: Path) -> tuple[list[Path], Manifest | None]:
    """The files of an export, whole and undamaged, or the single one; and the manifest, if there is one.

    Raises:
        Failure: It is incomplete, damaged, or no format that is read here.
    """
    if source.is_dir():
        manifest = manifests.read(source / manifests.NAME)
        if manifest is None:
            message = f"{source} has no {manifests.NAME}: give the files one by one"
            raise Failure(message, Exit.BAD_OPTION)
        if not manifest.complete:
            message = f"the export in {source} was interrupted: give its command again, and then import"
            raise Failure(message, Exit.BAD_OPTION)
        for part in manifest.parts:
            if not (source / part.file).exists() or manifests.checksum(source / part.file) != part.sha256:
                message = f"{source / part.file} is missing, or not as the export wrote it"
                raise Failure(message)
        return [source / part.file for part in manifest.parts], manifest
    if not source.is_file():
        message = f"there is no file {source}"
        raise Failure(message, Exit.BAD_OPTION)
    if not sources.is_readable(source):
        message = f"{source.name} does not end in one of {' '.join(sources.SUFFIXES)}"
        raise Failure(message, Exit.BAD_OPTION)
    return [source], manifests.read(source.with_name(f"{source.name}.{manifests.NAME}"))


def renamed(pairs: Sequence[str]) -> dict[str, str]:
    """Old name -> new name, out of ``OLD=NEW``.

    Raises:
        Failure: Something else.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.rpartition("=")
        if not (old and equals and new):
            message = f"--map takes OLD=NEW, not {pair}"
            raise Failure(message, Exit.BAD_OPTION)
        found[old] = new
    return found


class Names:
    """From the names in the files to the devices here.

    Args:
        services: The installation.
        renamed: Name in the file -> name here.
        manifest: Describes the devices, if there is one.
        create: Register those that are missing.

    Attributes:
        created: Names of devices that were registered.
    """

    def __init__(self, services: Services, renamed: dict[str, str], manifest: Manifest | None, *, create: bool) -> None:
        self._services = services
        self._renamed = renamed
        self._described = {device.name: device for device in manifest.devices} if manifest else {}
        self._holding = {id_ for id_, count in manifest.readings.items() if count} if manifest else set()
        self._create = create
        self._known: dict[str, DeviceRef] = {}
        self.created: list[str] = []

    def require_all(self) -> None:
        """Find every device of the manifest that has readings, before anything is stored.

        Raises:
            InvalidInput: One is missing.
        """
        for name, device in self._described.items():
            if device.id in self._holding:
                self.resolve(name)

    def resolve(self, name: str) -> DeviceRef:
        """The device.

        Raises:
            InvalidInput: There is none, and none is to be made.
        """
        known = self._known.get(name)
        if known is None:
            here = self._renamed.get(name, name)
            found = self._services.devices.find(DEFAULT_TENANT, here)
            known = self._known[name] = found.ref if found else self._made(name, here)
        return known

    def _made(self, name: str, here: str) -> DeviceRef:
        if not self._create:
            message = f"there is no device {shown(here)}: --create-devices makes it, --map takes another for it"
            raise InvalidInput(message, field="device")
        described = self._described.get(name) or DeviceEntry(id=0, name=name, device_type=DEVICE_TYPE)
        draft = DeviceDraft(**described.model_dump(exclude={"id", "name"}), name=here)
        ports, now_ms = self._services, clock_ms()
        made = devices.register(
            draft, devices=ports.devices, credentials=ports.credentials, pepper=ports.pepper, now_ms=now_ms
        )
        for key in ports.credentials.of_device(made.device.ref):  # nobody has seen it
            ports.credentials.remove(DEFAULT_TENANT, key.id)
        audit(ports, "create_device", f"device:{made.device.id}", now_ms=now_ms, detail=here)
        self.created.append(here)
        return made.device.ref


def _report(values: dict[str, int], created: list[str], options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps({"values": values, "created": created, "checked": options.check}))
        return
    heading, *lines = terminal.table([("device", "values"), *((name, f"{count:,}") for name, count in values.items())])
    print("\n".join([terminal.paint(heading, terminal.BOLD), *lines]))
    print(f"\n{sum(values.values()):,} values are {'good' if options.check else 'stored'}.")
    if created:
        print(f"{len(created)} devices were registered, without keys: POST /api/v1/admin/devices/ID/keys issues one.")
