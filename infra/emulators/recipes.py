"""How each emulator is started. All keep everything in memory and listen on loopback only."""

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from infra.emulators.server import HOST, Recipe
from infra.failure import Exit, Failure
from infra.maven import Jars

HERE = Path(__file__).parent
_SMALL = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def _dynamodb(jars: Path, port: int) -> tuple[str, ...]:
    main = "software.amazon.dynamodb.services.local.main.ServerRunner"
    native = f"-Djava.library.path={jars}"
    return (*_SMALL, native, "-cp", f"{jars}/*", main, "-inMemory", "-sharedDb", "-port", str(port))


def _elasticmq(jars: Path, port: int) -> tuple[str, ...]:
    ports = f"-Dnode-address.port={port}", f"-Drest-sqs.bind-port={port}"
    config = f"-Dconfig.file={HERE / 'elasticmq.conf'}"
    return (*_SMALL, config, *ports, "-cp", f"{jars}/*", "org.elasticmq.server.Main")


DYNAMODB = Recipe(
    Jars("DynamoDB Local", "dynamodb", HERE / "dynamodb.xml", ("DynamoDBLocal-*.jar", "libsqlite4java-*")),
    _dynamodb,
    {"DDB_LOCAL_TELEMETRY": "0"},  # else it leaves a file in the working directory
)
ELASTICMQ = Recipe(Jars("ElasticMQ", "elasticmq", HERE / "elasticmq.xml", ("elasticmq-server_*.jar",)), _elasticmq)


class Moto(NamedTuple):
    """moto's server: no Java, one process for all services, and no races: it loses updates under concurrency."""

    title: str = "moto"
    environment: Mapping[str, str] = {}

    def command(self, port: int) -> list[str]:
        """The whole command.

        Raises:
            Failure: It is not installed: it comes with what tests need.
        """
        if find_spec("moto") is None or find_spec("flask") is None:
            message = "moto is not installed: python3 -m infra check installs what developers need"
            raise Failure(message, Exit.INSTALLATION)
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)]
