"""The store of an installation, for commands that move telemetry."""

import argparse
from dataclasses import replace

from chalicelib.settings import Settings, from_environment
from chalicelib.wiring import Services
from infra.environment import data_folder, gather
from infra.failure import Exit, Failure


def reach(services: Services, options: argparse.Namespace) -> Services:
    """The same installation; if its IoTDB is that of the data directory, that server is started and logged into.

    Raises:
        Failure: Telemetry lives in another process's memory, or the server does not start.
    """
    return Services(with_store(services.settings, services.settings.store, options))


def with_store(settings: Settings, store: str, options: argparse.Namespace) -> Settings:
    """The settings for one of the stores.

    Raises:
        Failure: As for `reach`.
    """
    if store == "memory":
        message = "IOTFLOW_STORE=memory keeps telemetry within one process, where no command sees it"
        raise Failure(message, Exit.BAD_OPTION)
    variables = gather(options)
    if store == "iotdb" and not variables.get("IOTDB_HOST"):
        from infra.commands import iotdb

        variables |= iotdb.use(iotdb.server_in(data_folder(variables)))
    variables |= {"IOTFLOW_STORE": store, "IOTFLOW_DATA": str(settings.data)}
    return replace(from_environment(variables), data=settings.data)
