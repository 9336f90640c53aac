"""Declared types of measurements, in devices.db."""

from pathlib import Path

from chalicelib.adapters.sqlite_registry import registry
from chalicelib.model import Declared, MeasurementType

_GET = "SELECT measurement, type FROM declarations WHERE tenant = ? AND device_type = ?"
_ALL = "SELECT device_type, measurement, type FROM declarations WHERE tenant = ? ORDER BY device_type, measurement"
_DROP = "DELETE FROM declarations WHERE tenant = ? AND device_type = ?"
_ADD = "INSERT INTO declarations (tenant, device_type, measurement, type) VALUES (?, ?, ?, ?)"


class SqliteDeclarations:
    """`DeclarationRepository` beside the device records.

    Args:
        path: The file; made when missing.
    """

    def __init__(self, path: str | Path) -> None:
        self.database = registry(path)

    def get(self, tenant: str, device_type: str) -> Declared:
        with self.database.reading() as connection:
            rows = connection.execute(_GET, (tenant, device_type)).fetchall()
        return {name: MeasurementType(kind) for name, kind in rows}

    def all(self, tenant: str) -> dict[str, Declared]:
        found: dict[str, dict[str, MeasurementType]] = {}
        with self.database.reading() as connection:
            for device_type, name, kind in connection.execute(_ALL, (tenant,)):
                found.setdefault(device_type, {})[name] = MeasurementType(kind)
        return dict(found)

    def put(self, tenant: str, device_type: str, declared: Declared) -> None:
        with self.database.transaction() as connection:
            connection.execute(_DROP, (tenant, device_type))
            rows = [(tenant, device_type, name, str(kind)) for name, kind in declared.items()]
            connection.executemany(_ADD, rows)

    def remove(self, tenant: str, device_type: str) -> bool:
        with self.database.transaction() as connection:
            return connection.execute(_DROP, (tenant, device_type)).rowcount > 0
