"""`compose`: how to reach the services of docker-compose.yml, and the files that its containers read."""

import argparse
import os
from collections.abc import Mapping

from infra.aws.names import dead_letters_name, queue_name, table_name
from infra.docker import files
from infra.failure import Exit

ACCOUNT = "000000000000"
REGION = "us-east-1"


def add_compose(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--write", action="store_true", help="bring the files in infra/docker up to date instead")
    parser.epilog = 'Example: docker compose up -d --wait && eval "$(python3 -m infra compose)"'
    parser.set_defaults(run=compose)


def compose(options: argparse.Namespace) -> int:
    """Print the settings as lines for a shell, or write the files."""
    if options.write:
        changed = ", ".join(str(path.relative_to(files.FOLDER)) for path in files.write())
        print(f"written: {changed}" if changed else "all up to date")
        return Exit.OK
    print("\n".join(f"export {name}={value}" for name, value in settings(os.environ).items()))
    return Exit.OK


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables of a process that works with the services; ports may be chosen as docker-compose.yml lets them be."""
    aws = f"http://127.0.0.1:{environment.get('LOCALSTACK_PORT', '4566')}"
    queues = f"{aws}/queue/{REGION}/{ACCOUNT}"
    return {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": REGION,
        "IOTFLOW_DEVICES": "dynamodb",
        "IOTFLOW_QUEUE": "sqs",
        "IOTFLOW_STORE": "iotdb",
        "IOTFLOW_TABLE": table_name(files.STAGE),
        "IOTFLOW_QUEUE_URL": f"{queues}/{queue_name(files.STAGE)}",
        "IOTFLOW_DEAD_LETTER_URL": f"{queues}/{dead_letters_name(files.STAGE)}",
        "IOTFLOW_MAX_RECEIVES": str(files.MAX_RECEIVES),
        "IOTDB_HOST": "127.0.0.1",
        "IOTDB_PORT": environment.get("IOTDB_PORT", "6667"),
        "REDIS_URL": f"redis://127.0.0.1:{environment.get('REDIS_PORT', '6379')}/0",
    }
