"""The table of all records in an emulator, as the deployment has it."""

from typing import Any

from botocore.session import Session

from infra.aws.table import table

ACCESS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
"""What AWS's client wants to be told; no emulator looks at it."""
_MADE_WITH = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema", "TableName")


def make_table(name: str, endpoint_url: str | None = None) -> None:
    """Make the table unless it is there.

    Args:
        name: The table.
        endpoint_url: Where the emulator is; None for what the environment says.
    """
    client = Session().create_client("dynamodb", endpoint_url=endpoint_url, **ACCESS)
    try:
        make_table_with(client, name)
    finally:
        client.close()


def make_table_with(client: Any, name: str) -> None:
    """Make the table with a client of botocore, and wait until it is there."""
    properties: dict[str, Any] = table(name)["Properties"]
    try:
        client.create_table(**{option: properties[option] for option in _MADE_WITH})
    except client.exceptions.ResourceInUseException:
        return
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
    client.update_time_to_live(TableName=name, TimeToLiveSpecification=properties["TimeToLiveSpecification"])
