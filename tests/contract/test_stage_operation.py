"""A deployed stage as its operator sees it: state, findings, logs and dead letters, on moto."""

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.codec import batch_to_json
from chalicelib.model import Batch, DeviceRef, Reading
from infra.aws import stagelogs, state
from infra.aws.functions import functions, lambda_name
from infra.aws.names import CONSUMER, dead_letters_name, queue_name, table_name
from infra.commands import run, stage
from infra.doctor.finding import Level
from infra.emulators.records import make_table_with
from infra.failure import Exit, Failure
from tests.builders import NOW_MS

STAGE = "prod"
TRUST = json.dumps(
    {"Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}
)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty account."""
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


def add_functions(*names: str) -> None:
    """Functions of the stage that do nothing."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("app.py", "")
    role = boto3.client("iam").create_role(RoleName=f"of-{names[0]}", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    client = boto3.client("lambda")
    for name in names:
        client.create_function(
            FunctionName=name,
            Role=role,
            Runtime="python3.13",
            Handler="app.app",
            Code={"ZipFile": archive.getvalue()},
        )


def add_records() -> str:
    """Queues and table; the queue's URL."""
    sqs = boto3.client("sqs")
    sqs.create_queue(QueueName=dead_letters_name(STAGE))
    make_table_with(boto3.client("dynamodb"), table_name(STAGE))
    return str(sqs.create_queue(QueueName=queue_name(STAGE))["QueueUrl"])


def deploy(*, partial: bool = True, leave_out: str = "") -> None:
    """As much of a stage as its state is made of."""
    url = add_records()
    add_functions(*(lambda_name("iotflow", STAGE, name) for name in functions().keys() - {leave_out}))
    boto3.client("lambda").create_event_source_mapping(
        FunctionName=lambda_name("iotflow", STAGE, CONSUMER),
        EventSourceArn=boto3.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"],
        **({"FunctionResponseTypes": ["ReportBatchItemFailures"]} if partial else {}),
    )
    boto3.client("dynamodb").update_continuous_backups(
        TableName=table_name(STAGE), PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )


def found() -> dict[str, list[Level]]:
    """Levels by subject."""
    levels: dict[str, list[Level]] = {}
    for finding in stage.examine(STAGE):
        levels.setdefault(finding.subject, []).append(finding.level)
    return levels


@pytest.mark.usefixtures("aws")
def test_a_whole_stage_has_nothing_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    deploy()
    assert {level for levels in found().values() for level in levels} == {Level.OK}
    assert run(["status", "--stage", STAGE]) == Exit.OK
    assert f"{len(functions())} of {len(functions())} active" in capsys.readouterr().out
    assert run(["doctor", "--stage", STAGE]) == Exit.OK


@pytest.mark.usefixtures("aws")
def test_an_account_without_the_stage_says_what_is_missing() -> None:
    assert found()["functions"] == [Level.WRONG]
    assert found()["queue"] == [Level.WRONG, Level.WRONG]
    assert found()["table"] == [Level.WRONG]
    assert run(["status", "--stage", STAGE, "--json"]) == Exit.FAILED
    assert run(["doctor", "--stage", STAGE]) == Exit.FAILED


@pytest.mark.usefixtures("aws")
def test_a_consumer_that_would_lose_messages_is_wrong() -> None:
    deploy(partial=False)
    assert Level.WRONG in found()["queue"]


@pytest.mark.usefixtures("aws")
def test_a_missing_function_is_named_and_a_foreign_one_noted() -> None:
    deploy(leave_out="read_latest")
    add_functions("iotflow-prod-forgotten")
    sentences = [finding.sentence for finding in stage.examine(STAGE) if finding.subject == "functions"]
    assert sentences == ["1 are not deployed: read_latest", "not of this release: iotflow-prod-forgotten"]
    assert state.look("iotflow", STAGE, boto3.client).functions["read_latest"] == state.MISSING


@pytest.mark.usefixtures("aws")
def test_an_alarm_that_rings_is_told_with_its_meaning() -> None:
    deploy()
    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName="iotflow-prod-WaitingAlarm-ABC",
        AlarmDescription="Readings wait",
        ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1,
        MetricName="ApproximateAgeOfOldestMessage",
        Namespace="AWS/SQS",
        Period=60,
        Statistic="Maximum",
        Threshold=1,
    )
    cloudwatch.set_alarm_state(AlarmName="iotflow-prod-WaitingAlarm-ABC", StateValue="ALARM", StateReason="test")
    (alarm,) = (finding for finding in stage.examine(STAGE) if finding.subject == "alarm")
    assert alarm.sentence == "WaitingAlarm: Readings wait"


def spoil() -> str:
    """A dead letter of the stage; its id."""
    queue = stage._queue(STAGE)
    reading = Reading(DeviceRef("default", 1), NOW_MS, {"temperature": 21.5})
    queue.send(batch_to_json(Batch(reading.device, NOW_MS, (reading,))), readings=1, now_ms=NOW_MS)
    (message,) = queue.receive(limit=10, visibility_s=30, now_ms=NOW_MS)
    queue.bury(message.receipt, reason="The store refuses it", now_ms=NOW_MS)
    return message.id


@pytest.mark.usefixtures("aws")
def test_dead_letters_are_listed_and_queued_again(capsys: pytest.CaptureFixture[str]) -> None:
    add_records()
    letter = spoil()
    assert run(["replay", "--stage", STAGE]) == Exit.OK
    shown = capsys.readouterr().out
    assert letter in shown
    assert "The store refuses it" in shown
    assert run(["replay", "--stage", STAGE, letter]) == Exit.OK
    queue = stage._queue(STAGE)
    assert queue.dead_letters() == []
    (message,) = queue.receive(limit=10, visibility_s=30, now_ms=NOW_MS)
    assert "21.5" in message.body
    assert queue.ledger().balanced


@pytest.mark.usefixtures("aws")
def test_a_dead_letter_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    add_records()
    assert run(["replay", "--stage", STAGE, "nothing"]) == Exit.FAILED
    assert "there is no dead letter nothing" in capsys.readouterr().err


def write_log(function: str, *lines: tuple[int, str]) -> None:
    logs, group = boto3.client("logs"), f"/aws/lambda/{lambda_name('iotflow', STAGE, function)}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")
    events = [{"timestamp": at_ms, "message": text} for at_ms, text in lines]
    logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=events)


@pytest.mark.usefixtures("aws")
def test_log_lines_of_several_functions_come_in_the_order_of_time() -> None:
    now_ms = stage._now_ms()
    write_log("submit_telemetry", (now_ms - 3000, "START RequestId: 1"), (now_ms - 2000, "first\n"), (now_ms, "third"))
    write_log(CONSUMER, (now_ms - 1000, "second"), (now_ms, "REPORT RequestId: 2 Duration: 3 ms"))
    groups = {name: f"/aws/lambda/iotflow-prod-{name}" for name in ("submit_telemetry", CONSUMER, "read_latest")}
    told = stagelogs.lines(boto3.client("logs"), groups, since_ms=now_ms - 60_000, follow=False)
    assert [line.text for line in told] == ["first", "second", "third"]


@pytest.mark.usefixtures("aws")
def test_a_followed_log_tells_each_line_once_late_ones_too() -> None:
    now_ms = stage._now_ms()
    write_log(CONSUMER, (now_ms - 2000, "first"))
    later = iter([[(now_ms, "third")], [(now_ms - 1000, "second, late")]])

    def pause(_seconds: float) -> None:
        events = [{"timestamp": at_ms, "message": text} for at_ms, text in next(later)]
        group = "/aws/lambda/iotflow-prod-store_readings"
        boto3.client("logs").put_log_events(logGroupName=group, logStreamName="one", logEvents=events)

    groups = {CONSUMER: "/aws/lambda/iotflow-prod-store_readings"}
    client: Any = boto3.client("logs")
    told = stagelogs.lines(client, groups, since_ms=now_ms - 60_000, follow=True, pause=pause)
    assert [next(told).text for _ in range(3)] == ["first", "third", "second, late"]


@pytest.mark.usefixtures("aws")
def test_logs_of_an_unknown_function_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["logs", "nobody", "--stage", STAGE]) == Exit.BAD_OPTION
    assert "there is no function nobody" in capsys.readouterr().err


def test_silent_aws_is_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert run(["status", "--stage", STAGE]) == Exit.FAILED
    assert "AWS cannot be reached" in capsys.readouterr().err


def test_nothing_is_deleted_unless_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(Failure, match="--yes"):
        stage.confirmed("Delete it?", "iotflow-prod")
