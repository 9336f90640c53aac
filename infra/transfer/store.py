"""The store of an installation, for commands that move telemetry."""

import argparse

from chalicelib.settings import Settings, SettingsError, from_environment
from chalicelib.wiring import Services
from infra.environment import data_folder, gather
from infra.failure import Exit, Failure


def reach(services: Services, options: argparse.Namespace) -> Services:
    """The same installation; if its IoTDB is that of the data directory, that server is started and logged into.

    Raises:
        Failure: Telemetry lives in another process's memory, or the server does not start.
    """
    if services.settings.store == "memory":
        message = "IOTFLOW_STORE=memory keeps telemetry within one process, where no command sees it"
        raise Failure(message, Exit.BAD_OPTION)
    return Services(settings_for(services.settings.store, options))


def settings_for(store: str, options: argparse.Namespace) -> Settings:
    """The settings of the instance that *options* name, with this store.

    Raises:
        Failure: A setting cannot be used, or the server of the data directory does not start.
    """
    variables = gather(options)
    data = data_folder(variables)
    if store == "iotdb" and not variables.get("IOTDB_HOST"):
        from infra.commands import iotdb

        variables |= iotdb.use(iotdb.server_in(data))
    try:
        return from_environment(variables | {"IOTFLOW_STORE": store, "IOTFLOW_DATA": str(data)})
    except SettingsError as error:
        raise Failure(str(error), Exit.BAD_OPTION) from None
