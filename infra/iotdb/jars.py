"""The server's jars, about 110 MB."""

from pathlib import Path

from infra.maven import Jars

HERE = Path(__file__).parent
JARS = Jars(
    title="IoTDB",
    name="iotdb",
    pom=HERE / "pom.xml",
    essential=("iotdb-confignode-*.jar", "iotdb-server-*.jar", "logback-classic-*.jar"),
)
