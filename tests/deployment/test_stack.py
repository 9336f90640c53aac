"""A stage as a CloudFormation stack: published, planned, changed and deleted, in LocalStack."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.aws.layer import FILE
from infra.aws.stack import Stack
from infra.failure import Failure
from tests.deployment.conftest import Deployment


@pytest.fixture
def stack(deployed: Deployment) -> Iterator[Stack]:
    """The stack of a stage that is not there yet."""
    made = Stack("dev", deployed.connect)
    yield made
    if made.status():
        made.delete()


def queues(deployed: Deployment) -> set[str]:
    """Names of the queues that a test made."""
    found = deployed.connect("sqs").list_queues(QueueNamePrefix="stack-").get("QueueUrls", [])
    return {url.rpartition("/")[2] for url in found}


def packaged(folder: Path, resources: dict[str, Any]) -> Path:
    """A package as `infra package` makes it, with less in it."""
    folder.mkdir(exist_ok=True)
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    outputs = {"Url": {"Value": {"Ref": next(iter(resources))}}}
    (folder / "sam.json").write_text(json.dumps({**template, "Outputs": outputs}))
    for name in ("deployment.zip", FILE):
        (folder / name).write_bytes(name.encode())
    return folder


def queue(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}, **more}


def test_a_stack_is_planned_made_changed_and_deleted(stack: Stack, deployed: Deployment, tmp_path: Path) -> None:
    assert stack.status() == ""
    first = stack.plan(stack.publish(packaged(tmp_path, {"Queue": queue("stack-one")})))
    assert first.new
    assert [(change.action, change.kind) for change in first.changes] == [("Add", "AWS::SQS::Queue")]
    stack.execute(first)
    assert stack.status() == "CREATE_COMPLETE"
    assert stack.outputs()["Url"].endswith("/stack-one")
    both = {"Queue": queue("stack-one"), "Kept": queue("stack-kept", DeletionPolicy="Retain")}
    second = stack.plan(stack.publish(packaged(tmp_path, both)))
    assert not second.new
    assert ("Add", "Kept") in {(change.action, change.name) for change in second.changes}
    stack.execute(second)
    assert queues(deployed) == {"stack-one", "stack-kept"}
    assert [url.rpartition("/")[2] for url in stack.delete()] == ["stack-kept"]
    assert stack.status() == ""


def test_what_is_only_planned_leaves_no_stack(stack: Stack, deployed: Deployment, tmp_path: Path) -> None:
    stack.drop(stack.plan(stack.publish(packaged(tmp_path, {"Queue": queue("stack-planned")}))))
    assert stack.status() == ""
    assert "stack-planned" not in queues(deployed)


def test_the_same_content_is_uploaded_once(stack: Stack, deployed: Deployment, tmp_path: Path) -> None:
    url = stack.publish(packaged(tmp_path, {"Queue": queue("stack-twice")}))
    assert stack.publish(packaged(tmp_path, {"Queue": queue("stack-twice")})) == url
    account, region = deployed.connect("sts").get_caller_identity()["Account"], deployed.connect("s3").meta.region_name
    assert f"iotflow-deployments-{account}-{region}" in url


def test_what_aws_cannot_make_is_told_with_its_reason(stack: Stack, tmp_path: Path) -> None:
    plan = stack.plan(stack.publish(packaged(tmp_path, {"Broken": queue("stack broken!")})))
    with pytest.raises(Failure, match=r"iotflow-dev was not deployed: Broken: "):
        stack.execute(plan)
