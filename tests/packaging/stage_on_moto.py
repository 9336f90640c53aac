"""A stage's table, queues and secret on moto, and one role: a function runs under its own policy, which is enforced.

Each call is checked twice: before it leaves, with its resource and the writes of a transaction; and by moto, which
knows its action, and resources of SQS only. A refusal is made here, since moto's are not in the services' own form.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session
from moto import mock_aws
from moto.core import enable_iam_authentication
from moto.dynamodb.models import dynamodb_backends

from chalicelib.adapters import aws_client
from chalicelib.adapters.memory_readings import MemoryReadings
from chalicelib.model import Reading
from chalicelib.settings import Settings
from chalicelib.wiring import Services
from infra.aws.names import dead_letters_name, pepper_name, queue_name, table_name
from infra.emulators.records import ACCESS, make_table_with

STAGE = "prod"
ACCOUNT, REGION = "123456789012", ACCESS["region_name"]
TRANSACTIONS = {"Effect": "Allow", "Action": "dynamodb:TransactWriteItems", "Resource": "*"}
"""An action that moto asks for, and AWS does not know."""
TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
IN_TRANSACTIONS = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
BATCHES = ("SendMessage", "DeleteMessage", "ChangeMessageVisibility")
"""SQS asks for the right to the single action; moto wants that to the batch."""

Right = tuple[str, str]
"""An action, and the resource that it acts on."""


class Stage:
    """Everything a stage's functions reach.

    Attributes:
        stored: Readings in the store of each new `services`.
        denied: What was refused since the last `under`.
        calls: Every call since then, by operation; a batch once for each item.
    """

    stored: list[Reading]

    def __init__(self) -> None:
        self.denied: set[Right] = set()
        self.calls: list[str] = []
        self._allowed: list[tuple[list[str], str]] | None = None
        self._admin = {
            name: Session().create_client(name, **ACCESS)
            for name in ("dynamodb", "iam", "secretsmanager", "sqs", "sts")
        }
        make_table_with(self._admin["dynamodb"], table_name(STAGE))
        self._dead_letter_url = self._queue(dead_letters_name(STAGE))
        self._queue_url = self._queue(queue_name(STAGE))
        self._admin["secretsmanager"].create_secret(Name=pepper_name(STAGE), SecretString="a pepper of tests")
        role = self._admin["iam"].create_role(RoleName="function", AssumeRolePolicyDocument=_document([TRUST]))
        assumed = self._admin["sts"].assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="test")
        self.credentials = assumed["Credentials"]
        self.stored = []
        self._kept: Any = None

    def services(self, **changes: object) -> Services:
        """Records and queue on moto, readings in memory; clients are made from the environment."""
        chosen: dict[str, object] = {
            "stage": STAGE,
            "devices": "dynamodb",
            "queue": "sqs",
            "store": "memory",
            "table": table_name(STAGE),
            "queue_url": self._queue_url,
            "dead_letter_url": self._dead_letter_url,
            "pepper_secret": pepper_name(STAGE),
            "enrollment_token": "enrol",
            "max_receives": 50,
        }
        made = Services(Settings(**{**chosen, **changes}))  # type: ignore[arg-type]
        made.readings = MemoryReadings()
        made.readings.write(self.stored)
        return made

    @contextmanager
    def under(self, policy: Mapping[str, Any]) -> Iterator[None]:
        """Whoever calls AWS within the block has the rights of *policy* only."""
        self.denied, self.calls = set(), []
        self._allowed = [(each["Action"], each["Resource"][0]) for each in policy["Statement"]]
        self._admin["iam"].put_role_policy(
            RoleName="function",
            PolicyName="own",
            PolicyDocument=_document([*map(_as_moto_checks, policy["Statement"]), TRANSACTIONS]),
        )
        try:
            with enable_iam_authentication():
                yield
        finally:
            self._allowed = None

    def keep(self) -> None:
        """Remember the records."""
        self._kept = copy.deepcopy(self._items)

    def restore(self) -> None:
        """Go back to the records as they were, and to empty queues."""
        for url in (self._queue_url, self._dead_letter_url):
            self._admin["sqs"].delete_queue(QueueUrl=url)
            self._queue(url.rpartition("/")[2])
        self._items.clear()
        self._items.update(copy.deepcopy(self._kept))

    def spend(self) -> None:
        """Put a message where SQS puts one that was received too often."""
        self._admin["sqs"].send_message(QueueUrl=self._dead_letter_url, MessageBody="spent")

    def watch(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        """Before each call: note what it takes, and refuse what moto would let pass."""
        tables = params.get("RequestItems", {}).values()
        self.calls += [model.name] * sum([len(each["Keys"]) for each in tables] or [1])
        needed = set(_needed(model.service_model.service_name, model.name, params))
        if self._allowed is None:
            return
        for action, resource in needed:
            if not any(action in actions and _matches(pattern, resource) for actions, pattern in self._allowed):
                self.denied.add((action, resource))
                error = {"Error": {"Code": "AccessDeniedException", "Message": f"{action} on {resource}"}}
                raise ClientError(error | {"ResponseMetadata": {"HTTPStatusCode": 400}}, model.name)

    @property
    def _items(self) -> Any:
        return dynamodb_backends[ACCOUNT][REGION].tables[table_name(STAGE)].items

    def _queue(self, name: str) -> str:
        return str(self._admin["sqs"].create_queue(QueueName=name)["QueueUrl"])


def _as_moto_checks(statement: Mapping[str, Any]) -> dict[str, Any]:
    actions, resources = list(statement["Action"]), statement["Resource"]
    actions += [f"{action}Batch" for action in actions if action.removeprefix("sqs:") in BATCHES]
    return {**statement, "Action": actions, "Resource": resources if actions[0].startswith("sqs:") else "*"}


def _needed(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Right]:
    if service == "sqs":
        yield f"sqs:{operation.removesuffix('Batch')}", params["QueueUrl"].rpartition("/")[2]
    elif service == "secretsmanager":
        yield f"secretsmanager:{operation}", f"{params['SecretId']}-abcdef"
    elif operation == "TransactWriteItems":
        for request in params["TransactItems"]:
            for kind, options in request.items():
                yield f"dynamodb:{IN_TRANSACTIONS[kind]}", f"table/{options['TableName']}"
    else:
        index = f"/index/{params['IndexName']}" if "IndexName" in params else ""
        (name,) = params.get("RequestItems", None) or [params["TableName"]]
        yield f"dynamodb:{operation}", f"table/{name}{index}"


def _matches(pattern: str, resource: str) -> bool:
    return fnmatchcase(resource, pattern.split(":", 5)[5].removeprefix("secret:"))


def _document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@contextmanager
def running() -> Iterator[Stage]:
    """The stage, with its role's credentials in the environment, as Lambda puts a function's."""
    with mock_aws(), pytest.MonkeyPatch.context() as environment:
        stage = Stage()
        given = {
            "AWS_ACCESS_KEY_ID": stage.credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": stage.credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": stage.credentials["SessionToken"],
            "AWS_DEFAULT_REGION": REGION,
        }
        for name, value in given.items():
            environment.setenv(name, value)
        aws_client._session.cache_clear()  # it keeps the credentials that it found first
        aws_client._session().register("before-parameter-build", stage.watch)
        try:
            yield stage
        finally:
            aws_client._session.cache_clear()
