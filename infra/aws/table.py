"""The DynamoDB table of all records, as CloudFormation."""

from typing import Any

from chalicelib.adapters.dynamo_requests import LIST, PLACE
from chalicelib.adapters.dynamo_table import INDEX

PARTITION_KEY, SORT_KEY, EXPIRY = "pk", "sk", "expires_s"
INDEXES = {INDEX: (LIST, PLACE)}
"""Global secondary indexes: name -> (partition key, sort key)."""


def table(name: str) -> dict[str, Any]:
    """On demand, with recovery to any second of the last 35 days, and kept when the stack goes."""
    return {
        "Type": "AWS::DynamoDB::Table",
        "DeletionPolicy": "Retain",
        "UpdateReplacePolicy": "Retain",
        "Properties": {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": attribute, "AttributeType": "S"} for attribute in _key_attributes()
            ],
            "KeySchema": _keys(PARTITION_KEY, SORT_KEY),
            "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
            "SSESpecification": {"SSEEnabled": True},
            "TimeToLiveSpecification": {"AttributeName": EXPIRY, "Enabled": True},
            "DeletionProtectionEnabled": True,
            "GlobalSecondaryIndexes": [_index(*item) for item in INDEXES.items()],
        },
    }


def _key_attributes() -> list[str]:
    return sorted({PARTITION_KEY, SORT_KEY, *(key for keys in INDEXES.values() for key in keys)})


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


def _index(name: str, keys: tuple[str, str]) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _keys(*keys), "Projection": {"ProjectionType": "ALL"}}
