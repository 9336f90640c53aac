"""What must hold of a finished SAM template before anybody deploys it; each rule is a way in which it went wrong.

`problems` returns sentences, so that a command can show all of them and a test can expect exactly one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from infra.aws.split import ANY_METHOD, PARTIAL_BATCHES

Json = Mapping[str, Any]

MOST_RESOURCES = 500
"""Source: AWS CloudFormation quotas."""
LEAST_BATCH = 100
"""A consumer that stores ten messages at a time spends its time on calls."""
LONGEST_NAME = 64
"""Source: AWS Lambda quotas, function name."""


def problems(template: Json) -> list[str]:
    """Everything that is wrong with the template, a sentence each."""
    resources: Json = template["Resources"]
    found = [*_routes(resources), *_roles(resources), *_consumers(resources), *_names(resources)]
    made = len(resources) + 2  # a deployment and a stage come with the API
    if made > MOST_RESOURCES:
        found.append(f"there are {made} resources; CloudFormation takes {MOST_RESOURCES}")
    return found


def route_functions(template: Json) -> dict[tuple[str, str], str]:
    """(path, method) -> the logical id of the function that answers it, for declared methods."""
    paths: Json = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]
    return {
        (path, method): _function_of(definition)
        for path, methods in paths.items()
        for method, definition in methods.items()
        if method not in {ANY_METHOD, "head"}
    }


def _function_of(method: Json) -> str:
    uri: str = method["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
    return uri.partition("functions/${")[2].partition(".Arn}")[0]


def _routes(resources: Json) -> Iterator[str]:
    seen: dict[str, tuple[str, str]] = {}
    for route, function in route_functions({"Resources": resources}).items():
        words = " ".join(route)
        if function == "APIHandler" or function not in resources:
            yield f"{words} has no function of its own"
        elif function in seen:
            yield f"{words} shares the function {function} with {' '.join(seen[function])}"
        elif f"{function}InvokePermission" not in resources:
            yield f"API Gateway may not invoke {function}"
        seen[function] = route


def _roles(resources: Json) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, function in _of_type(resources, "AWS::Serverless::Function"):
        role = function["Role"]
        if isinstance(role, str):
            continue  # made elsewhere, by whoever configured it
        role_id = role["Fn::GetAtt"][0]
        if role_id in owners:
            yield f"{name} shares its role with {owners[role_id]}"
        owners[role_id] = name
    for name, role in _of_type(resources, "AWS::IAM::Role"):
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if "*" in _listed(statement["Resource"]):
                    yield f"{name} may {', '.join(_listed(statement['Action']))} on every resource"


def _consumers(resources: Json) -> Iterator[str]:
    for name, function in _of_type(resources, "AWS::Serverless::Function"):
        for event in function.get("Events", {}).values():
            if event["Type"] != "SQS":
                continue
            mapping = event["Properties"]
            if mapping.get("FunctionResponseTypes") != PARTIAL_BATCHES:
                yield f"{name} lacks ReportBatchItemFailures: AWS would delete the messages that failed"
            if mapping["BatchSize"] < LEAST_BATCH or not mapping.get("MaximumBatchingWindowInSeconds"):
                yield f"{name} needs batches of {LEAST_BATCH} messages or more, and a window"


def _names(resources: Json) -> Iterator[str]:
    for name, function in _of_type(resources, "AWS::Serverless::Function"):
        if len(function["FunctionName"]) > LONGEST_NAME:
            yield f"the name of {name} has more than {LONGEST_NAME} characters: {function['FunctionName']}"


def _of_type(resources: Json, kind: str) -> Iterator[tuple[str, Json]]:
    return ((name, resource["Properties"]) for name, resource in resources.items() if resource["Type"] == kind)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
