"""`chalice deploy` changes what differs, and nothing else."""

import base64
import hashlib
from typing import Any

from botocore.exceptions import ClientError

from infra.aws import redeploy

ZIP = b"code"
DIGEST = base64.b64encode(hashlib.sha256(ZIP).digest()).decode()
DEPLOYED = {
    "CodeSha256": DIGEST,
    "Environment": {"Variables": {"A": "1"}},
    "Runtime": "python3.13",
    "Timeout": 10,
    "MemorySize": 256,
    "Role": "arn:role",
    "Architectures": ["arm64"],
    "FunctionArn": "arn:f",
}
WANTED = {
    "environment_variables": {"A": "1"},
    "runtime": "python3.13",
    "timeout": 10,
    "memory_size": 256,
    "role_arn": "arn:role",
    "tags": {"t": "1"},
    "architecture": "arm64",
    "xray": None,
}


class Client:
    """chalice's client, and AWS's below it: notes what it is asked to change."""

    partition_name, region_name = "aws", "eu-central-1"

    def __init__(self) -> None:
        self.changed: list[str] = []
        self.tags: dict[str, str] = {}

    def _client(self, _service: str) -> "Client":
        return self

    def get_function(self, **_named: Any) -> dict[str, Any]:
        """As AWS answers."""
        return {"Configuration": DEPLOYED, "Tags": {"t": "1"}}

    def get_tags(self, **_named: Any) -> dict[str, Any]:
        """Of the REST API."""
        return {"tags": self.tags}

    def tag_resource(self, *, tags: dict[str, str], **_named: Any) -> None:
        """Of the REST API."""
        self.tags |= tags

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments, **_named: self.changed.append(name)


def update(zipped: bytes = ZIP, **changes: Any) -> list[str]:
    client = Client()
    redeploy._update_function(lambda: None, client, "f", zipped, **{**WANTED, **changes})
    return client.changed


def test_a_function_that_is_as_wanted_is_left_alone() -> None:
    assert update() == []


def test_other_code_is_uploaded_and_the_configuration_left_alone() -> None:
    assert update(b"other") == ["_update_function_code"]


def test_another_setting_is_set_and_the_code_left_alone() -> None:
    assert update(environment_variables={"A": "2"}) == ["_update_function_config"]
    assert update(timeout=20) == ["_update_function_config"]


def test_other_tags_are_set_and_the_rest_left_alone() -> None:
    assert update(tags={"t": "2"}) == ["_update_function_tags"]


def test_an_api_that_cannot_be_tagged_is_deployed_each_time() -> None:
    class Untagged(Client):
        def get_tags(self, **_named: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "GetTags")

        def tag_resource(self, **_named: Any) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied"}}, "TagResource")

    imported: list[int] = []

    def put(number: int) -> None:
        def original(*_arguments: Any, **_named: Any) -> None:
            imported.append(number)

        redeploy._update_api(original, Untagged(), rest_api_id="r", swagger_document={})

    put(0)
    put(1)
    assert imported == [0, 1]


def test_an_api_is_deployed_again_only_when_its_document_changed() -> None:
    client, deployed, imported = Client(), [], []

    def deploy(document: dict[str, Any]) -> None:
        redeploy._update_api(
            lambda *_, **__: imported.append(document), client, rest_api_id="r", swagger_document=document
        )
        redeploy._deploy_api(lambda *_, **__: deployed.append(document), client, "r")
        redeploy._UNCHANGED.clear()

    for document in ({"a": 1}, {"a": 1}, {"a": 2}):
        deploy(document)
    assert imported == deployed == [{"a": 1}, {"a": 2}]
