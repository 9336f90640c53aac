"""How things are called on AWS, by stage."""

STAGES = ("local", "dev", "prod")
CONSUMER = "store_readings"
"""The function that the queue feeds."""


def table_name(stage: str) -> str:
    """The DynamoDB table of all records."""
    return f"iotflow-{stage}"


def pepper_name(stage: str) -> str:
    """The secret under which keys are hashed."""
    return f"iotflow-{stage}/pepper"


def queue_name(stage: str) -> str:
    """The SQS queue of accepted readings."""
    return f"iotflow-telemetry-{stage}"


def dead_letters_name(stage: str) -> str:
    """The SQS queue of what could not be stored."""
    return f"iotflow-telemetry-dead-{stage}"
