"""The policy of each function, least privilege by derivation: a function can do what its declaration says, no more.

All policies of a stage are one file, ``.chalice/policy-STAGE.json``, by function: a change of rights is then a line in
a review. Accounts and regions are wildcards, since a role reaches its own account only; the resource is always named.
"""

import json
from pathlib import Path
from typing import Any

from chalicelib.adapters.dynamo_table import INDEX
from infra.aws.functions import Function, functions, lambda_name
from infra.aws.names import STAGES, dead_letters_name, pepper_name, queue_name, table_name
from infra.aws.rights import DEAD_LETTERS, INDEXES, PEPPER, QUEUE, RIGHTS, TABLE

_LOGS = ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents")


def policy(function: Function, app_name: str, stage: str) -> dict[str, Any]:
    """The policy document of one function.

    Raises:
        ValueError: It uses something that `rights` does not know.
    """
    unknown = sorted(function.uses - RIGHTS.keys())
    if unknown:
        message = f"{function.name} declares {', '.join(unknown)}, which infra/aws/rights.py does not know"
        raise ValueError(message)
    allowed: dict[str, set[str]] = {}
    for use in function.uses:
        for resource, actions in RIGHTS[use].actions.items():
            allowed.setdefault(resource, set()).update(actions)
    arns = _arns(stage)
    statements = [_allow(_LOGS, _log_group(lambda_name(app_name, stage, function.name)))]
    statements += [_allow(sorted(actions), arns[resource]) for resource, actions in sorted(allowed.items())]
    return {"Version": "2012-10-17", "Statement": statements}


def document(app_name: str, stage: str) -> str:
    """The file of a stage: every function's policy by its name, one line a policy statement's action and resource."""
    named = {name: policy(function, app_name, stage) for name, function in sorted(functions().items())}
    return json.dumps(named, indent=1) + "\n"


def files(folder: Path, app_name: str) -> dict[Path, str]:
    """What belongs in each policy file below *folder*."""
    return {folder / f"policy-{stage}.json": document(app_name, stage) for stage in STAGES}


def _allow(actions: tuple[str, ...] | list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": [resource]}


def _arns(stage: str) -> dict[str, str]:
    table = f"arn:*:dynamodb:*:*:table/{table_name(stage)}"
    return {
        TABLE: table,
        INDEXES: f"{table}/index/{INDEX}",
        QUEUE: f"arn:*:sqs:*:*:{queue_name(stage)}",
        DEAD_LETTERS: f"arn:*:sqs:*:*:{dead_letters_name(stage)}",
        PEPPER: f"arn:*:secretsmanager:*:*:secret:{pepper_name(stage)}-??????",
    }


def _log_group(name: str) -> str:
    return f"arn:*:logs:*:*:log-group:/aws/lambda/{name}:*"
