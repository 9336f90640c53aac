"""The emulators that other contract tests stand on."""

import boto3
import pytest

from infra.emulators.recipes import ELASTICMQ
from infra.emulators.records import ACCESS
from infra.emulators.server import Emulator
from infra.failure import Exit, Failure


def test_dynamodb_local_keeps_a_table(dynamodb: Emulator) -> None:
    client = boto3.client("dynamodb", endpoint_url=dynamodb.url, **ACCESS)
    client.create_table(
        TableName="emulator",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName="emulator", Item={"pk": {"S": "a"}})
    assert client.get_item(TableName="emulator", Key={"pk": {"S": "a"}})["Item"] == {"pk": {"S": "a"}}
    client.delete_table(TableName="emulator")
    client.close()


def test_elasticmq_delivers_what_was_sent(elasticmq: Emulator) -> None:
    client = boto3.client("sqs", endpoint_url=elasticmq.url, **ACCESS)
    url = client.create_queue(QueueName="emulator")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="hello")
    assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "hello"
    client.delete_queue(QueueUrl=url)
    client.close()


def test_an_emulator_on_a_taken_port_says_so(elasticmq: Emulator) -> None:
    with pytest.raises(Failure, match="is taken") as caught:
        Emulator(ELASTICMQ, port=elasticmq.port).start()
    assert caught.value.code == Exit.PORT_IN_USE


def test_an_emulator_that_ends_at_once_tells_why(elasticmq: Emulator) -> None:  # noqa: ARG001 - its Java is there
    broken = ELASTICMQ._replace(arguments=lambda _jars, _port: ("-cp", "nowhere", "no.such.Main"))
    with pytest.raises(Failure, match=r"ended while it started; it said (.|\n)*no\.such\.Main") as caught:
        Emulator(broken).start()
    assert caught.value.code == Exit.NOT_READY
