"""How every process of `python3 -m infra up` gets its services."""

from chalicelib import logs
from chalicelib.adapters.sqlite import NewerSchemaError
from chalicelib.wiring import Services, services


def open_services() -> Services:
    """The services, with everything built and logging set up.

    Raises:
        SystemExit: A database belongs to a newer release; says so in one sentence and ends the process.
    """
    current = services()
    logs.configure(level=current.settings.log_level, form=current.settings.log_format)
    try:
        current.warm()
    except NewerSchemaError as error:
        raise SystemExit(str(error)) from None
    return current
