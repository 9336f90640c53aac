"""`.chalice/config.json`: checked, and completed with what the functions declare.

chalice accepts unknown keys and function names without a word, ignores variables that stand under the top level's
``lambda_functions``, and lets a value of the stage win over one of a function there. All of these are refused here.
"""

import os
from collections.abc import Mapping
from typing import Any

from chalicelib.settings import NOT_OURS, variables
from infra.aws.functions import functions
from infra.aws.names import STAGES

Json = Mapping[str, Any]

TOP_KEYS = frozenset({"version", "app_name", "autogen_policy", "log_retention_in_days", "stages", "tags"})
STAGE_KEYS = frozenset(
    {
        "api_gateway_custom_domain",
        "api_gateway_endpoint_type",
        "api_gateway_endpoint_vpce",
        "api_gateway_policy_file",
        "api_gateway_stage",
        "environment_variables",
        "lambda_architecture",
        "lambda_functions",
        "log_retention_in_days",
        "minimum_compression_size",
        "security_group_ids",
        "subnet_ids",
        "tags",
        "xray",
    }
)
FUNCTION_KEYS = frozenset(
    {
        "environment_variables",
        "iam_policy_file",
        "lambda_memory_size",
        "lambda_timeout",
        "layers",
        "log_retention_in_days",
        "reserved_concurrency",
        "security_group_ids",
        "subnet_ids",
        "tags",
    }
)
ARCHITECTURES = ("arm64", "x86_64")
NOT_HANDED_ON = frozenset({"DATABASE_URL", "HOST", "IOTFLOW_STAGE", "PORT"})
"""About listening, or words that any program might use."""
REFERENCE = "{{resolve:"
"""How a value begins that CloudFormation fetches from a secret store."""


class ConfigurationError(ValueError):
    """`.chalice/config.json` says something that chalice would silently ignore, or that is not safe."""


def check(config: Json) -> None:
    """Refuse what would have no effect, or another than it seems to.

    Raises:
        ConfigurationError: Names the key, and where it stands.
    """
    _known(config, TOP_KEYS, "the top level")
    if config.get("autogen_policy") is not False:
        message = '"autogen_policy" must be false: chalice would give all functions one role, from app.py alone'
        raise ConfigurationError(message)
    stages: Json = config.get("stages", {})
    _known(stages, frozenset(STAGES), '"stages"')
    for name, stage in stages.items():
        _check_stage(name, stage)


def with_declaration(config: Json, stage_name: str, name: str) -> dict[str, Any]:
    """The configuration with an entry for the function *name* in the stage; what the file says wins over declarations.

    Raises:
        ConfigurationError: There is no such stage.
    """
    if stage_name not in config["stages"]:
        message = f'there is no stage "{stage_name}" in .chalice/config.json; take {", ".join(config["stages"])}'
        raise ConfigurationError(message)
    function = functions()[name]
    stage: Json = config["stages"][stage_name]
    given: Json = stage.get("lambda_functions", {})
    own: Json = given.get(name, {})
    completed = {
        "lambda_memory_size": function.memory_mb,
        "lambda_timeout": function.timeout_s,
        "iam_policy_file": f"policy-{stage_name}.json#{name}",
        **own,
        "environment_variables": {
            **function.environment(stage_name),
            **stage.get("environment_variables", {}),
            **own.get("environment_variables", {}),
            **_handed_on(stage_name),
        },
    }
    changed = {**stage, "lambda_functions": {**given, name: completed}}
    return {**config, "stages": {**config["stages"], stage_name: changed}}


def _handed_on(stage_name: str) -> dict[str, str]:
    """Settings of the process that deploys the local stage: its functions run on the same machine."""
    if stage_name != "local":
        return {}
    ours = {name for variable in variables().values() for name in variable.names} - NOT_HANDED_ON
    return {name: os.environ[name] for name in sorted(ours) if name in os.environ}


def _check_stage(name: str, stage: Json) -> None:
    where = f'stage "{name}"'
    _known(stage, STAGE_KEYS, where)
    if stage.get("lambda_architecture") not in ARCHITECTURES:
        message = f'"lambda_architecture" of {where} must be {" or ".join(ARCHITECTURES)}'
        raise ConfigurationError(message)
    _check_variables(stage, where, stage_name=name)
    given: Json = stage.get("lambda_functions", {})
    _known(given, frozenset(functions()), f'"lambda_functions" of {where}')
    for function, own in given.items():
        _known(own, FUNCTION_KEYS, f'function "{function}" of {where}')
        _check_variables(own, f'function "{function}" of {where}', stage_name=name)


def _check_variables(holder: Json, where: str, *, stage_name: str) -> None:
    settings = variables().values()
    ours = {name for variable in settings for name in variable.names}
    secret = {name for variable in settings if variable.secret for name in variable.names}
    for name, value in holder.get("environment_variables", {}).items():
        if name.startswith("IOTFLOW_") and name not in ours | NOT_OURS:
            message = f"{name} in {where} is not a setting of IoTFlow; .env.example lists them all"
            raise ConfigurationError(message)
        if name in secret and not value.startswith(REFERENCE):
            message = f"{name} in {where} is a secret: write {REFERENCE}secretsmanager:NAME:SecretString}}}} instead"
            raise ConfigurationError(message)
        if name == "IOTFLOW_STAGE" and value != stage_name:
            message = f"IOTFLOW_STAGE in {where} is {value}"
            raise ConfigurationError(message)


def _known(given: Json, known: frozenset[str], where: str) -> None:
    for key in given:
        if key not in known:
            message = f'"{key}" means nothing in {where}; there can be {", ".join(sorted(known))}'
            raise ConfigurationError(message)
