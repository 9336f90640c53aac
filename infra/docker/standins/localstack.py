"""LocalStack of the package index within a container: with DynamoDB Local from Maven, which it would else download."""

from typing import Any

from localstack.runtime.main import main
from localstack.services.dynamodb.packages import DynamoDBLocalPackageInstaller
from localstack.services.dynamodb.server import DynamodbServer

FOLDER = "/opt/dynamodb"


def command(server: Any) -> list[str]:
    """How DynamoDB Local is started."""
    start = "software.amazon.dynamodb.services.local.main.ServerRunner"
    java = ["java", f"-Xmx{server.heap_size}", f"-Djava.library.path={FOLDER}", "-cp", f"{FOLDER}/*", start]
    return [*java, "-port", str(server.port), "-inMemory"]


DynamoDBLocalPackageInstaller.is_installed = lambda _self: True
DynamoDBLocalPackageInstaller.get_java_env_vars = lambda _self: {}
DynamodbServer._create_shell_command = command

if __name__ == "__main__":
    main()
