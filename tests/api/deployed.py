"""The service of the tests as a deployment: IOTFLOW_TEST_DEPLOYMENT names a file with its URL and settings."""

import json
import os
from pathlib import Path

from tests.api.service import Service

VARIABLE = "IOTFLOW_TEST_DEPLOYMENT"


class Deployed(Service):
    """A deployment whose records the tests reach as its functions do."""

    def __init__(self, note: Path) -> None:
        found = json.loads(note.read_text(encoding="utf-8"))
        variables: dict[str, str] = found["variables"]
        super().__init__(Path(variables["IOTFLOW_DATA"]), variables)
        self.url = found["url"]


def deployed() -> Deployed | None:
    """The deployment to test, if one is named."""
    note = os.environ.get(VARIABLE)
    return Deployed(Path(note)) if note else None
