"""Makes plain `chalice package|deploy|delete|...` work with one Lambda function an endpoint, in all three back ends.

chalice puts every route into one function, cannot ask SQS for partial batch answers, and has no gateway responses.
A dozen of its methods are wrapped here; its own model does the rest, so that `.chalice/config.json` keeps its meaning.
They are not chalice's published interface: the version is pinned, and tests/packaging hold the results.

What surprises in chalice's model: API Gateway may invoke every function that is listed as an authorizer of the API,
and the URI of an authorizer has the right form in CloudFormation, Terraform and deploy alike.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from chalice import awsclient
from chalice import package as generators
from chalice.config import Config
from chalice.deploy import appgraph, deployer, models, swagger
from chalice.utils import to_cfn_resource_name

from infra.aws import configuration, gateway
from infra.aws.functions import functions, lambda_name
from infra.aws.names import queue_name
from infra.aws.wrapping import wrap

PARTIAL_BATCHES = ["ReportBatchItemFailures"]
"""Without it AWS ignores the consumer's answer, and deletes the messages that failed."""
ANY_METHOD = "x-amazon-apigateway-any-method"


def install() -> None:
    """Wrap what has to be wrapped; once in a process."""
    graph, document = appgraph.ApplicationGraphBuilder, swagger.SwaggerGenerator
    wrap(Config, "scope", _scope)
    wrap(graph, "_create_rest_api_model", _create_rest_api_model)
    wrap(graph, "_create_sqs_subscription", _create_sqs_subscription)
    wrap(document, "_generate_apig_integ", _generate_apig_integ)
    wrap(document, "generate_swagger", _generate_swagger)
    wrap(deployer.PolicyGenerator, "_read_document_from_file", _read_document_from_file)
    wrap(generators.SAMTemplateGenerator, "_generate_sqseventsource", _generate_sam_event_source)
    wrap(generators.SAMTemplateGenerator, "_generate_lambdafunction", _generate_sam_function)
    wrap(generators.TerraformGenerator, "_generate_sqseventsource", _generate_terraform_event_source)
    wrap(generators.TerraformGenerator, "_generate_lambdafunction", _generate_terraform_function)
    wrap(generators.TerraformGenerator, "_default", _generate_nothing_for_a_log_group)
    wrap(awsclient.TypedAWSClient, "_call_client_method_with_retries", _call_client_method_with_retries)


def _scope(original: Callable[..., Any], self: Any, chalice_stage: str, function_name: str) -> Any:
    """The configuration of one function has what that function declares."""
    scoped = original(self, chalice_stage, function_name)
    scoped._config_from_disk = configuration.with_declaration(self.config_from_disk, chalice_stage, function_name)
    return scoped


def _create_rest_api_model(
    original: Callable[..., Any], self: Any, config: Any, deployment: Any, stage_name: str
) -> Any:
    configuration.check(config.config_from_disk)
    api = original(self, config, deployment, stage_name)
    if api.lambda_function.log_group is not None:  # chalice names it after a function that it then calls otherwise
        api.lambda_function.log_group.log_group_name = f"/aws/lambda/{api.lambda_function.function_name}"
    views = [view for methods in config.chalice_app.routes.values() for view in methods.values()]
    for name in sorted({view.view_name for view in views}):
        api.authorizers.append(self._create_lambda_model(config, deployment, name, "app.app", stage_name))
    return api


def _create_sqs_subscription(
    original: Callable[..., Any], self: Any, config: Any, deployment: Any, event_source: Any, stage_name: str
) -> Any:
    """Each stage has a queue of its own; app.py is imported before chalice knows the stage."""
    mapping = original(self, config, deployment, event_source, stage_name)
    mapping.queue = queue_name(stage_name)
    return mapping


def _generate_apig_integ(original: Callable[..., Any], self: Any, view: Any) -> Any:
    return {**original(self, view), "uri": self._auth_uri(_authorizer(view.view_name))}


def _authorizer(name: str) -> Any:
    return SimpleNamespace(name=name, config=SimpleNamespace(name=name))


def _generate_swagger(original: Callable[..., Any], self: Any, app: Any, rest_api: Any = None) -> Any:
    """Add what API Gateway would otherwise answer itself: HEAD, OPTIONS and other methods, and its own errors."""
    document = original(self, app, rest_api)
    for methods in document["paths"].values():
        some = next(iter(methods.values()))
        edge = {**some, "x-amazon-apigateway-integration": {**_integration(some), "uri": self._uri()}}
        if "get" in methods:
            methods["head"] = methods["get"]
        methods[ANY_METHOD] = {key: value for key, value in edge.items() if key not in {"summary", "description"}}
    document["x-amazon-apigateway-gateway-responses"] = gateway.responses()
    return document


def _integration(method: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = method["x-amazon-apigateway-integration"]
    return found


def _read_document_from_file(_original: Callable[..., Any], _self: Any, filename: str) -> Any:
    """Understand ``policy-prod.json#name``: one function's policy within the file of all."""
    path, _, name = filename.partition("#")
    policies = json.loads(Path(path).read_text(encoding="utf-8"))
    if name and name not in policies:
        message = f"{path} has no policy for {name}; python3 -m infra aws policies brings it up to date"
        raise LookupError(message)
    return policies[name] if name else policies


def _generate_sam_function(original: Callable[..., Any], self: Any, resource: Any, template: dict[str, Any]) -> None:
    """Name functions as `chalice deploy` does: their policies name their log groups."""
    original(self, resource, template)
    declared = functions().get(resource.resource_name)
    if declared is not None:
        made = template["Resources"][to_cfn_resource_name(declared.name)]
        config = self._config
        made["Properties"]["FunctionName"] = lambda_name(config.app_name, config.chalice_stage, declared.name)


def _generate_sam_event_source(
    original: Callable[..., Any], self: Any, resource: Any, template: dict[str, Any]
) -> None:
    original(self, resource, template)
    function = template["Resources"][to_cfn_resource_name(resource.lambda_function.resource_name)]
    for event in function["Properties"]["Events"].values():
        event["Properties"]["FunctionResponseTypes"] = PARTIAL_BATCHES


def _generate_terraform_event_source(
    original: Callable[..., Any], self: Any, resource: Any, template: dict[str, Any]
) -> None:
    original(self, resource, template)
    mapping = template["resource"]["aws_lambda_event_source_mapping"][resource.resource_name]
    mapping["function_response_types"] = PARTIAL_BATCHES


def _generate_terraform_function(
    original: Callable[..., Any], self: Any, resource: Any, template: dict[str, Any]
) -> None:
    """Chalice makes a log group, and gives it the name of the model in place of the group's."""
    original(self, resource, template)
    group = resource.log_group
    if group is not None:
        template["resource"]["aws_cloudwatch_log_group"][group.resource_name]["name"] = group.log_group_name


def _generate_nothing_for_a_log_group(
    original: Callable[..., Any], self: Any, resource: Any, template: dict[str, Any]
) -> None:
    """Chalice has misspelt the method that skips log groups, which come with their functions, and gives up."""
    if not isinstance(resource, models.LogGroup):
        original(self, resource, template)


def _call_client_method_with_retries(
    original: Callable[..., Any], self: Any, method: Any, kwargs: dict[str, Any], *arguments: Any, **named: Any
) -> Any:
    if method.__name__ in {"create_event_source_mapping", "update_event_source_mapping"}:
        kwargs = {**kwargs, "FunctionResponseTypes": PARTIAL_BATCHES}
    return original(self, method, kwargs, *arguments, **named)
