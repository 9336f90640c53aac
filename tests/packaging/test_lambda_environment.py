"""Functions as our LocalStack runs them: a process with AWS's runtime client, whatever the function does to it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.aws import lambda_process, packaging
from infra.emulators.localstack.environment import Environment, Invocation, Outcome, StartError

CODE = """
import os, sys, time
print("starting")
def handle(event, context):
    print("got", event["do"])
    if event["do"] == "exit": os._exit(3)
    if event["do"] == "fail": raise ValueError("no")
    if event["do"] == "sleep": time.sleep(20)
    if event["do"] == "much": return "x" * 7_000_000
    return [event["do"], context.aws_request_id, context.get_remaining_time_in_millis() > 0, os.environ.get("GIVEN")]
"""

Make = Callable[[str], Environment]


@pytest.fixture
def make(environment: Path, tmp_path: Path) -> Iterator[Make]:
    """Makes the environment of a function with this code."""
    made: list[Environment] = []
    runtime = lambda_process.provide(environment, tmp_path / "runtime")

    def of(code: str) -> Environment:
        (tmp_path / "function.py").write_text(code)
        python = str(packaging.interpreter())
        command = [
            python,
            "-I",
            "-B",
            "-u",
            "-c",
            lambda_process.BOOTSTRAP,
            str(tmp_path),
            str(runtime),
            "function.handle",
        ]
        variables = {"GIVEN": "yes", "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128"}
        made.append(Environment(command, variables, folder=tmp_path, timeout_s=2, memory_mb=128))
        return made[-1]

    yield of
    for each in made:
        each.stop()


def invoke(one: Environment, do: str, request_id: str = "1") -> Outcome:
    return one.invoke(
        Invocation(request_id, "arn:aws:lambda:us-east-1:000000000000:function:f", json.dumps({"do": do}).encode())
    )


def test_a_function_answers_and_its_words_are_in_the_log(make: Make) -> None:
    one = make(CODE)
    one.start()
    outcome = invoke(one, "say", "some-id")
    assert (json.loads(outcome.payload), outcome.failed) == (["say", "some-id", True, "yes"], False)
    lines = outcome.log.splitlines()
    assert lines[:3] == ["START RequestId: some-id Version: $LATEST", "starting", "got say"]
    assert lines[3] == "END RequestId: some-id"
    assert lines[4].startswith("REPORT RequestId: some-id\tDuration: ")
    assert "starting" not in invoke(one, "say").log


def test_an_error_of_the_function_is_its_outcome(make: Make) -> None:
    one = make(CODE)
    outcome = invoke(one, "fail")
    assert outcome.failed
    assert json.loads(outcome.payload)["errorType"] == "ValueError"
    assert not invoke(one, "say").failed


@pytest.mark.parametrize(
    ("do", "error"),
    [("exit", "Runtime exited with error: exit status 3"), ("sleep", "Task timed out after 2.00 seconds")],
)
def test_a_function_that_ends_or_hangs_is_started_again(make: Make, do: str, error: str) -> None:
    one = make(CODE)
    outcome = invoke(one, do)
    assert outcome.failed
    assert error in json.loads(outcome.payload)["errorMessage"]
    assert json.loads(invoke(one, "say").payload)[0] == "say"


def test_an_answer_above_six_megabytes_is_refused(make: Make) -> None:
    outcome = invoke(make(CODE), "much")
    assert outcome.failed
    assert json.loads(outcome.payload)["errorType"] == "Function.ResponseSizeTooLarge"


def test_a_function_that_cannot_be_imported_says_why(make: Make) -> None:
    with pytest.raises(StartError) as caught:
        make("import no_such_module\n").start()
    assert "no_such_module" in json.loads(caught.value.payload)["errorMessage"]
