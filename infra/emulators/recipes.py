"""How each emulator is started. Both keep everything in memory and listen on loopback only."""

from pathlib import Path

from infra.emulators.server import Recipe
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
