"""`.chalice/config.json`: what chalice would silently ignore is refused."""

import copy
from typing import Any

import pytest

from infra.aws.configuration import ConfigurationError, check, with_declaration
from infra.aws.functions import functions

GOOD: dict[str, Any] = {
    "version": "2.0",
    "app_name": "iotflow",
    "autogen_policy": False,
    "stages": {
        "dev": {"log_retention_in_days": 7, "lambda_architecture": "arm64"},
        "prod": {
            "lambda_architecture": "arm64",
            "environment_variables": {"LOG_LEVEL": "info"},
            "lambda_functions": {"submit_telemetry": {"lambda_memory_size": 256, "reserved_concurrency": 50}},
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The good configuration with one value more, at a path of keys with slashes."""
    config = copy.deepcopy(GOOD)
    *folders, last = path.split("/")
    place = config
    for folder in folders:
        place = place.setdefault(folder, {})
    place[last] = value
    return config


def test_a_good_configuration_is_accepted() -> None:
    check(GOOD)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("lambda_memory", 128, '"lambda_memory" means nothing in the top level'),
        ("lambda_functions", {"submit_telemetry": {}}, '"lambda_functions" means nothing in the top level'),
        ("autogen_policy", True, '"autogen_policy" must be false'),
        ("stages/test", {}, '"test" means nothing in "stages"'),
        ("stages/prod/lambda_memory_size", 128, '"lambda_memory_size" means nothing in stage "prod"'),
        ("stages/prod/lambda_architecture", "arm", '"lambda_architecture" of stage "prod" must be arm64 or x86_64'),
        ("stages/prod/lambda_functions/submit", {}, '"submit" means nothing in "lambda_functions" of stage "prod"'),
        ("stages/prod/lambda_functions/keep_up/memory", 1, '"memory" means nothing in function "keep_up" of stage'),
        ("stages/prod/environment_variables/IOTFLOW_STOER", "iotdb", "IOTFLOW_STOER .* not a setting"),
        ("stages/prod/environment_variables/IOTFLOW_PEPPER", "secret", "IOTFLOW_PEPPER .* is a secret"),
        ("stages/prod/environment_variables/IOTFLOW_STAGE", "local", 'IOTFLOW_STAGE in stage "prod" is local'),
        (
            "stages/prod/lambda_functions/keep_up/environment_variables",
            {"IOTFLOW_X": ""},
            'IOTFLOW_X in function "keep_up"',
        ),
    ],
)
def test_what_chalice_would_ignore_is_refused(path: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        check(changed(path, value))


def test_a_secret_is_never_repeated_in_the_refusal() -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(changed("stages/prod/environment_variables/REDIS_URL", "redis://:hunter2@host"))
    assert "hunter2" not in str(refused.value)


def test_a_reference_to_a_secret_store_is_accepted() -> None:
    reference = "{{resolve:secretsmanager:redis:SecretString}}"
    check(changed("stages/prod/environment_variables/REDIS_URL", reference))


def test_what_the_file_says_of_a_function_wins_over_its_declaration() -> None:
    stage = with_declaration(GOOD, "prod", "submit_telemetry")["stages"]["prod"]
    found = stage["lambda_functions"]["submit_telemetry"]
    assert found["lambda_memory_size"] == 256
    assert found["lambda_timeout"] == functions()["submit_telemetry"].timeout_s
    assert found["reserved_concurrency"] == 50
    assert found["environment_variables"]["ENDPOINT_MODULE"] == "chalicelib.api.telemetry"


def test_declarations_leave_the_given_configuration_alone() -> None:
    before = copy.deepcopy(GOOD)
    with_declaration(GOOD, "prod", "keep_up")
    assert before == GOOD


def test_an_unknown_stage_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match='no stage "test"'):
        with_declaration(GOOD, "test", "keep_up")


def test_what_a_stage_says_wins_over_what_every_function_is_given() -> None:
    """Or a setting of the stage would be ignored without a word."""
    config = {"stages": {"dev": {"environment_variables": {"IOTFLOW_MAX_RECEIVES": "7"}}}}
    found = with_declaration(config, "dev", "submit_telemetry")["stages"]["dev"]["lambda_functions"]["submit_telemetry"]
    assert found["environment_variables"]["IOTFLOW_MAX_RECEIVES"] == "7"
    assert found["environment_variables"]["IOTFLOW_QUEUE"] == "sqs"


def test_settings_of_the_deploying_shell_reach_the_local_stage_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOTFLOW_STORE", "sqlite")
    monkeypatch.setenv("IOTFLOW_STAGE", "prod")
    monkeypatch.setenv("HOST", "192.0.2.1")
    config: dict[str, Any] = {"stages": {"local": {}, "dev": {}}}
    given = {
        stage: with_declaration(config, stage, "keep_up")["stages"][stage]["lambda_functions"]["keep_up"][
            "environment_variables"
        ]
        for stage in ("local", "dev")
    }
    assert (given["local"]["IOTFLOW_STORE"], given["dev"]["IOTFLOW_STORE"]) == ("sqlite", "iotdb")
    assert given["local"]["IOTFLOW_STAGE"] == "local"
    assert "HOST" not in given["local"]
