"""How a deployed stage is: its functions, queue, table and alarms, as AWS tells."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from infra.aws.functions import functions, lambda_name
from infra.aws.names import CONSUMER, dead_letters_name, queue_name, table_name
from infra.aws.split import PARTIAL_BATCHES
from infra.doctor.finding import Finding, note, ok, warning, wrong

Connect = Callable[[str], Any]

MISSING = "missing"


class Queue(NamedTuple):
    """Messages of an SQS queue; None when there is no such queue."""

    waiting: int
    in_flight: int


class StageState(NamedTuple):
    """A stage at one instant.

    Attributes:
        functions: Every declared function -> ``Active``, another state of Lambda's, or `MISSING`.
        foreign: Functions of the stage's name that are not declared: left by an earlier release.
        queue: Accepted readings.
        dead_letters: What SQS gave up.
        mapping: Of the queue to the consumer: ``Enabled``, another state, or `MISSING`.
        partial: Whether the mapping heeds partial batches.
        table: ``ACTIVE``, another state, or `MISSING`.
        recovery: Whether the table can be restored to any second.
        alarms: Those that ring, with their meaning.
    """

    functions: dict[str, str]
    foreign: list[str]
    queue: Queue | None
    dead_letters: Queue | None
    mapping: str
    partial: bool
    table: str
    recovery: bool
    alarms: dict[str, str]


def look(app_name: str, stage: str, connect: Connect) -> StageState:
    """Ask AWS."""
    deployed = dict(_deployed(connect("lambda"), f"{app_name}-{stage}"))
    declared = {name: lambda_name(app_name, stage, name) for name in functions()}
    mapping = _mapping(connect("lambda"), declared[CONSUMER])
    table, recovery = _table(connect("dynamodb"), table_name(stage))
    return StageState(
        functions={name: deployed.get(known, MISSING) for name, known in declared.items()},
        foreign=sorted(deployed.keys() - set(declared.values())),
        queue=_queue(connect("sqs"), queue_name(stage)),
        dead_letters=_queue(connect("sqs"), dead_letters_name(stage)),
        mapping=mapping.get("State", MISSING),
        partial=mapping.get("FunctionResponseTypes") == PARTIAL_BATCHES,
        table=table,
        recovery=recovery,
        alarms=dict(_alarms(connect("cloudwatch"), stage)),
    )


def findings(state: StageState, stage: str) -> Iterator[Finding]:
    """What is wrong with the stage, and what mends it."""
    deploy = f"python3 -m infra deploy --stage {stage}"
    missing = sorted(name for name, each in state.functions.items() if each == MISSING)
    sick = sorted(f"{name} {each}" for name, each in state.functions.items() if each not in {"Active", MISSING})
    if missing:
        yield wrong("functions", f"{len(missing)} are not deployed: {_some(missing)}", deploy)
    if sick:
        yield wrong("functions", f"{len(sick)} are not active: {_some(sick)}", "see their state in AWS's console")
    if not missing and not sick:
        yield ok("functions", f"all {len(state.functions)} are deployed")
    if state.foreign:
        yield note("functions", f"not of this release: {_some(state.foreign)}")
    yield from _on_queue(state, stage, deploy)
    if state.table != "ACTIVE":
        yield wrong("table", f"{table_name(stage)} is {state.table.lower()}", deploy)
    elif not state.recovery:
        yield warning("table", "cannot be restored to an earlier time", deploy)
    else:
        yield ok("table", "is active, and can be restored to any second of the last 35 days")
    for name, meaning in state.alarms.items():
        yield wrong("alarm", f"{name}: {meaning}", "docs/aws.md, section Alarms")


def _on_queue(state: StageState, stage: str, deploy: str) -> Iterator[Finding]:
    if state.mapping == MISSING:
        yield wrong("queue", "nothing consumes it", deploy)
    elif not state.partial:
        yield wrong("queue", "the consumer lacks ReportBatchItemFailures: AWS deletes messages that failed", deploy)
    elif state.mapping != "Enabled":
        yield wrong("queue", f"its consumer is {state.mapping.lower()}", "enable it in AWS's console")
    if state.queue is None:
        yield wrong("queue", f"{queue_name(stage)} is missing", deploy)
    else:
        yield ok("queue", f"{state.queue.waiting} messages wait, {state.queue.in_flight} are being stored")
    if state.dead_letters is None:
        yield wrong("dead letters", f"{dead_letters_name(stage)} is missing", deploy)
    elif sum(state.dead_letters):
        yield warning(
            "dead letters",
            f"SQS gave {sum(state.dead_letters)} messages up, which are listed within five minutes",
            f"python3 -m infra replay --stage {stage}",
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _deployed(client: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for page in client.get_paginator("list_functions").paginate():
        for each in page["Functions"]:
            name = each["FunctionName"]
            if name == prefix or name.startswith(f"{prefix}-"):
                yield name, each.get("State") or "Active"


def _mapping(client: Any, function: str) -> dict[str, Any]:
    try:
        found = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    except client.exceptions.ResourceNotFoundException:
        return {}
    return dict(found[0]) if found else {}


def _queue(client: Any, name: str) -> Queue | None:
    try:
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
    except client.exceptions.QueueDoesNotExist:
        return None
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return Queue(*(int(found[each]) for each in names))


def _table(client: Any, name: str) -> tuple[str, bool]:
    try:
        status = client.describe_table(TableName=name)["Table"]["TableStatus"]
    except client.exceptions.ResourceNotFoundException:
        return MISSING, False
    backups = client.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {}).get("PointInTimeRecoveryStatus")
    return str(status), recovery == "ENABLED"


def _alarms(client: Any, stage: str) -> Iterator[tuple[str, str]]:
    """Alarms of the stack are named by CloudFormation: its own name, then ours."""
    try:
        found = client.describe_alarms(AlarmNamePrefix=f"iotflow-{stage}-", StateValue="ALARM")["MetricAlarms"]
    except ClientError:  # the account's reader may not look at alarms
        return
    for each in found:
        yield each["AlarmName"].removeprefix(f"iotflow-{stage}-").partition("-")[0], each.get("AlarmDescription", "")
