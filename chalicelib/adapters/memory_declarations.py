"""Declared types of measurements in this process: for tests, and for a service that may forget."""

from chalicelib.model import Declared


class MemoryDeclarations:
    """`DeclarationRepository` in a dictionary."""

    def __init__(self) -> None:
        self._declared: dict[tuple[str, str], Declared] = {}

    def get(self, tenant: str, device_type: str) -> Declared:
        return self._declared.get((tenant, device_type), {})

    def all(self, tenant: str) -> dict[str, Declared]:
        found = sorted(self._declared.items())
        return {device_type: declared for (owner, device_type), declared in found if owner == tenant}

    def put(self, tenant: str, device_type: str, declared: Declared) -> None:
        if declared:
            self._declared[tenant, device_type] = dict(declared)
        else:
            self._declared.pop((tenant, device_type), None)

    def remove(self, tenant: str, device_type: str) -> bool:
        return self._declared.pop((tenant, device_type), None) is not None
