"""How every process of `python3 -m infra up` gets its services."""

from chalicelib import logs
from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.adapters.stamp_file import StampFile, latest_ms
from chalicelib.stamps import Stamps
from chalicelib.wiring import Services, services


def open_services(*, stamps_as: str = "") -> Services:
    """The services, with everything built and logging set up.

    Args:
        stamps_as: The name under which a process that gives server times keeps the latest, so that its successor
            gives none twice.

    Raises:
        SystemExit: A database belongs to a newer release; says so in one sentence and ends the process.
    """
    current = services()
    logs.configure(level=current.settings.log_level, form=current.settings.log_format)
    try:
        current.warm()
    except NewerSchemaError as error:
        raise SystemExit(str(error)) from None
    data = current.settings.data
    if stamps_as:
        current.stamps = Stamps(StampFile(data, stamps_as).keep)
        current.stamps.start_after(latest_ms(data))
    return current
