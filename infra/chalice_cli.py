"""What plain `chalice` gains in this project; app.py calls it when chalice's command line imports the app."""

from functools import cache

from infra.aws import archive, redeploy, split
from infra.local import chalice_cli


@cache
def extend() -> None:
    """Serve without stalling, one Lambda function an endpoint, and a zip that is strict, small and reproducible."""
    chalice_cli.install()
    split.install()
    archive.install()
    redeploy.install()
