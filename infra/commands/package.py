"""`package`: templates and zips for AWS, checked before anybody deploys them."""

import argparse
import json
from pathlib import Path

from infra.aws import archive, files, layer, packaging, template, verify
from infra.failure import Exit, Failure


def add_package(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stage", required=True, help="of .chalice/config.json")
    parser.add_argument("--format", choices=("cloudformation", "terraform"), default="cloudformation")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the template and the zips")
    parser.set_defaults(run=package)


def package(options: argparse.Namespace) -> int:
    """Package, verify and say what was made.

    Raises:
        Failure: A generated file is out of date, chalice failed, or the template would not be safe to deploy.
    """
    make(options.stage, options.out.absolute(), form=options.format)
    return Exit.OK


def make(stage: str, out: Path, *, form: str = "cloudformation") -> None:
    """Package *stage* into the folder *out*, verify and say what was made.

    Raises:
        Failure: As `package`.
    """
    _refuse_stale(stage)
    environment = packaging.environment(packaging.FOLDER)
    print(packaging.package(environment, stage, out, *_format(form, stage)), end="")
    architecture = files.read_config()["stages"][stage]["lambda_architecture"]
    layered = layer.build(environment, architecture, out)
    if form == "cloudformation":
        _refuse_problems(json.loads((out / "sam.json").read_text(encoding="utf-8")))
    for zipped in (out / "deployment.zip", layered):
        print(f"{zipped}: {zipped.stat().st_size / 1e6:.2f} MB, sha256 {archive.digest(zipped)}")


def _format(name: str, stage: str) -> list[str]:
    if name == "terraform":
        return ["--pkg-format", "terraform"]
    return ["--merge-template", str(files.FOLDER / f"template-{stage}.json")] if stage in template.STAGES else []


def _refuse_stale(stage: str) -> None:
    config = files.current()
    if stage not in config["stages"]:
        message = f"there is no stage {stage} in .chalice/config.json; take {', '.join(config['stages'])}"
        raise Failure(message, Exit.BAD_OPTION)


def _refuse_problems(finished: verify.Json) -> None:
    problems = verify.problems(finished)
    if problems:
        message = f"the template must not be deployed: {'; '.join(problems)}"
        raise Failure(message)
