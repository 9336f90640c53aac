"""A stage as one CloudFormation stack: its files in a bucket, what a deployment would change, and the change itself."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from infra.aws import archive, layer
from infra.failure import Failure

Connect = Callable[[str], Any]

CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed")
"""How CloudFormation says that a change set is empty: by failing."""
WAIT = {"Delay": 5, "MaxAttempts": 360}
"""Half an hour."""
POLL_S = 2.0
PLAN_S = 600.0


class Change(NamedTuple):
    """What a deployment would do to one resource.

    Attributes:
        action: ``Add``, ``Modify`` or ``Remove``.
        kind: As ``AWS::Lambda::Function``.
        replaced: Whether AWS makes a new one and removes the old: ``True``, ``False`` or ``Conditional``.
    """

    action: str
    name: str
    kind: str
    replaced: str = "False"


class Plan(NamedTuple):
    """A change set that waits for its execution."""

    arn: str
    new: bool
    changes: list[Change]


class Stack:
    """The stack of a stage.

    Args:
        stage: Its name.
        connect: Makes clients of AWS.
    """

    def __init__(self, stage: str, connect: Connect) -> None:
        self.name = f"iotflow-{stage}"
        self._connect = connect
        self._cloudformation = connect("cloudformation")

    def publish(self, out: Path) -> str:
        """Put the package in *out*, as `infra package` made it, into the account's bucket; returns the template's URL.

        Files are named by their content, so that the same content is uploaded once.
        """
        bucket = self._bucket()
        template = json.loads((out / "sam.json").read_text(encoding="utf-8"))
        uris = {f"./{name}": self._upload(bucket, out / name) for name in ("deployment.zip", layer.FILE)}
        finished = out / "template.json"
        finished.write_text(json.dumps(located(template, uris)), encoding="utf-8")
        key = self._upload(bucket, finished).removeprefix(f"s3://{bucket}/")
        endpoint = self._connect("s3").meta.endpoint_url
        return f"{endpoint}/{bucket}/{key}"

    def plan(self, template_url: str) -> Plan:
        """What deploying the template would change; `execute` or `drop` it.

        Raises:
            Failure: CloudFormation refuses the template.
        """
        new = self.status() in {"", "REVIEW_IN_PROGRESS"}
        made = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{time.time_ns() // 1_000_000}",
            ChangeSetType="CREATE" if new else "UPDATE",
            TemplateURL=template_url,
            Capabilities=list(CAPABILITIES),
        )
        found = self._planned(made["Id"])
        if found["Status"] == "FAILED":
            reason = found.get("StatusReason", "without a reason")
            if any(words in reason for words in NOTHING_TO_DO):
                return Plan(made["Id"], new, [])
            message = f"CloudFormation refuses the template: {reason}"
            raise Failure(message)
        return Plan(made["Id"], new, self._changes(made["Id"]))

    def drop(self, plan: Plan) -> None:
        """Leave it undone. A stack that only ever was planned goes with its plan."""
        self._cloudformation.delete_change_set(ChangeSetName=plan.arn)
        if plan.new:
            self._cloudformation.delete_stack(StackName=self.name)

    def execute(self, plan: Plan) -> None:
        """Do it, and wait for the end.

        Raises:
            Failure: A resource could not be made or changed; CloudFormation has gone back to what was.
        """
        since = time.time()
        self._cloudformation.execute_change_set(ChangeSetName=plan.arn)
        waiter = self._cloudformation.get_waiter("stack_create_complete" if plan.new else "stack_update_complete")
        try:
            waiter.wait(StackName=self.name, WaiterConfig=WAIT)
        except WaiterError:
            message = f"the stack {self.name} was not deployed: {'; '.join(self._failures(since)) or 'see its events'}"
            raise Failure(message) from None

    def delete(self) -> list[str]:
        """Delete the stack and wait; returns the names of what stays on purpose: table, secret, dead letters.

        Raises:
            Failure: Something could not be deleted.
        """
        kept = self.kept()
        since = time.time()
        self._cloudformation.delete_stack(StackName=self.name)
        try:
            self._cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig=WAIT)
        except WaiterError:
            message = f"the stack {self.name} could not be deleted: {'; '.join(self._failures(since))}"
            raise Failure(message) from None
        return kept

    def kept(self) -> list[str]:
        """Physical names of the resources that survive the stack."""
        body = self._cloudformation.get_template(StackName=self.name)["TemplateBody"]
        template = body if isinstance(body, dict) else json.loads(body)
        wanted = [name for name, each in template["Resources"].items() if each.get("DeletionPolicy") == "Retain"]
        return [
            resource["PhysicalResourceId"] for resource in self._resources() if resource["LogicalResourceId"] in wanted
        ]

    def status(self) -> str:
        """As ``CREATE_COMPLETE``; empty when there is no such stack."""
        try:
            found = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return ""
            raise
        return str(found[0]["StackStatus"]) if found else ""

    def outputs(self) -> dict[str, str]:
        """What the template tells of itself, as ``EndpointURL``."""
        found = self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        return {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}

    def _bucket(self) -> str:
        """The bucket of deployments of this account and region, made when it is not there."""
        s3 = self._connect("s3")
        account = self._connect("sts").get_caller_identity()["Account"]
        region = s3.meta.region_name
        bucket = f"iotflow-deployments-{account}-{region}"
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError:
            elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
            s3.create_bucket(Bucket=bucket, **({} if region == "us-east-1" else elsewhere))
        return bucket

    def _upload(self, bucket: str, file: Path) -> str:
        s3 = self._connect("s3")
        key = f"{archive.digest(file)}{file.suffix}"
        try:
            s3.head_object(Bucket=bucket, Key=key)
        except ClientError:
            s3.put_object(Bucket=bucket, Key=key, Body=file.read_bytes())
        return f"s3://{bucket}/{key}"

    def _planned(self, arn: str) -> Any:
        deadline_s = time.monotonic() + PLAN_S
        while True:
            found = self._cloudformation.describe_change_set(ChangeSetName=arn)
            if found["Status"] in {"CREATE_COMPLETE", "FAILED"} or time.monotonic() > deadline_s:
                return found
            time.sleep(POLL_S)

    def _changes(self, arn: str) -> list[Change]:
        pages = self._cloudformation.get_paginator("describe_change_set").paginate(ChangeSetName=arn)
        found = [change["ResourceChange"] for page in pages for change in page["Changes"]]
        return [
            Change(each["Action"], each["LogicalResourceId"], each["ResourceType"], each.get("Replacement", "False"))
            for each in found
        ]

    def _resources(self) -> list[Any]:
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    def _failures(self, since_s: float) -> list[str]:
        """Why resources failed, the first reason first."""
        events = self._cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'failed')}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("_FAILED") and event["Timestamp"].timestamp() >= since_s - 1
        ]
        return failed[:5]


def located(template: dict[str, Any], uris: dict[str, str]) -> dict[str, Any]:
    """*template* with each ``CodeUri`` and ``ContentUri`` that is a file beside it replaced by where it lies now."""
    finished = copy.deepcopy(template)
    for resource in finished["Resources"].values():
        properties = resource.get("Properties", {})
        for name in ("CodeUri", "ContentUri"):
            if properties.get(name) in uris:
                properties[name] = uris[properties[name]]
    return finished


def in_words(error: BotoCoreError | ClientError) -> str:
    """What AWS said, or that it said nothing."""
    if isinstance(error, ClientError):
        return f"AWS refuses: {error.response['Error'].get('Message') or error.response['Error'].get('Code')}"
    return f"AWS cannot be reached: {error}"
