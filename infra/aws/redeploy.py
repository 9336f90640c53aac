"""Makes `chalice deploy` change what differs and nothing else, and wait no longer than it takes.

chalice uploads the zip and sets the configuration of every function each time, and makes a new deployment of the API;
after each upload it waits for five seconds. With a function an endpoint that is minutes for nothing, a restart of
every function, and a history in which nobody finds what changed.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from chalice.awsclient import TypedAWSClient

from infra.aws.wrapping import wrap

DIGEST = "iotflow-document"
"""Tag of the REST API: the SHA-256 of the document that it was made from."""
WAIT_S = 1.0
WAIT_HERE_S = 0.05
"""An emulator has a function ready as soon as its zip is unpacked."""
ATTEMPTS = 600
_UNCHANGED: set[str] = set()
"""REST APIs of this run that need no deployment."""


def install() -> None:
    """Wrap what has to be wrapped; once in a process."""
    wrap(TypedAWSClient, "update_function", _update_function)
    wrap(TypedAWSClient, "import_rest_api", _import_rest_api)
    wrap(TypedAWSClient, "update_api_from_swagger", _update_api)
    wrap(TypedAWSClient, "deploy_rest_api", _deploy_api)
    wrap(TypedAWSClient, "put_role_policy", _put_role_policy)
    wrap(TypedAWSClient, "_wait_for_active", _wait("function_active"))
    wrap(TypedAWSClient, "_wait_for_function_update", _wait("function_updated"))


def _update_function(
    _original: Callable[..., Any], self: Any, function_name: str, zip_contents: bytes, **wanted: Any
) -> Any:
    """In place of chalice's, which uploads code and sets the configuration whatever they are."""
    found = self._client("lambda").get_function(FunctionName=function_name)
    deployed = found["Configuration"]
    code = base64.b64encode(hashlib.sha256(zip_contents).digest()).decode()
    now = _now(deployed)
    tags, architecture = wanted.pop("tags", None), wanted.pop("architecture", None)
    if deployed["CodeSha256"] != code or deployed.get("Architectures", [architecture]) != [architecture]:
        self._update_function_code(function_name=function_name, zip_contents=zip_contents, architecture=architecture)
    if any(value is not None and now[name] != value for name, value in wanted.items()):
        self._update_function_config(function_name=function_name, **wanted)
    if tags is not None and tags != found.get("Tags", {}):
        self._update_function_tags(deployed["FunctionArn"], tags)
    return deployed


def _now(deployed: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a function in the words of chalice's client."""
    network = deployed.get("VpcConfig", {})
    return {
        "environment_variables": deployed.get("Environment", {}).get("Variables", {}),
        "runtime": deployed["Runtime"],
        "xray": deployed.get("TracingConfig", {}).get("Mode") == "Active",
        "timeout": deployed["Timeout"],
        "memory_size": deployed["MemorySize"],
        "role_arn": deployed["Role"],
        "subnet_ids": network.get("SubnetIds", []),
        "security_group_ids": network.get("SecurityGroupIds", []),
        "layers": [layer["Arn"] for layer in deployed.get("Layers", [])],
    }


def _import_rest_api(
    original: Callable[..., str], self: Any, swagger_document: dict[str, Any], endpoint_type: str
) -> str:
    rest_api_id = original(self, swagger_document=swagger_document, endpoint_type=endpoint_type)
    _remember(self, rest_api_id, swagger_document)
    return rest_api_id


def _update_api(original: Callable[..., None], self: Any, rest_api_id: str, swagger_document: dict[str, Any]) -> None:
    if _remembered(self, rest_api_id) == _digest(swagger_document):
        _UNCHANGED.add(rest_api_id)
        return
    original(self, rest_api_id=rest_api_id, swagger_document=swagger_document)
    _remember(self, rest_api_id, swagger_document)


def _deploy_api(original: Callable[..., None], self: Any, rest_api_id: str, **named: Any) -> None:
    if rest_api_id not in _UNCHANGED:
        original(self, rest_api_id=rest_api_id, **named)


def _put_role_policy(
    original: Callable[..., None], self: Any, role_name: str, policy_name: str, policy_document: dict[str, Any]
) -> None:
    client = self._client("iam")
    try:
        found = client.get_role_policy(RoleName=role_name, PolicyName=policy_name)["PolicyDocument"]
    except client.exceptions.NoSuchEntityException:
        found = None
    if found != policy_document:
        original(self, role_name=role_name, policy_name=policy_name, policy_document=policy_document)


def _remember(self: Any, rest_api_id: str, document: dict[str, Any]) -> None:
    """Who may not tag may deploy all the same; the API is then deployed each time."""
    with suppress(ClientError):
        self._client("apigateway").tag_resource(resourceArn=_arn(self, rest_api_id), tags={DIGEST: _digest(document)})


def _remembered(self: Any, rest_api_id: str) -> str | None:
    try:
        tags = self._client("apigateway").get_tags(resourceArn=_arn(self, rest_api_id))["tags"]
    except ClientError:
        return None
    return str(tags[DIGEST]) if DIGEST in tags else None


def _arn(self: Any, rest_api_id: str) -> str:
    return f"arn:{self.partition_name}:apigateway:{self.region_name}::/restapis/{rest_api_id}"


def _digest(document: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _wait(waiter: str) -> Callable[..., None]:
    def wait(_original: Callable[..., None], self: Any, function_name: str) -> None:
        client = self._client("lambda")
        here = urlsplit(client.meta.endpoint_url).hostname == "127.0.0.1"
        patience = {"Delay": WAIT_HERE_S if here else WAIT_S, "MaxAttempts": ATTEMPTS}
        client.get_waiter(waiter).wait(FunctionName=function_name, WaiterConfig=patience)

    return wait
