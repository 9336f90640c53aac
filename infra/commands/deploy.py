"""`deploy` and `emulators`: AWS on this machine, and the whole app in it."""

import argparse
from pathlib import Path

from infra import first_start, terminal
from infra.aws import deployment, files
from infra.aws.names import STAGES
from infra.emulators import serve, stacks
from infra.environment import add_data_options, data_folder, gather
from infra.failure import Exit, Failure


def add_deploy(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--stage", required=True, choices=STAGES, help="local goes to LocalStack, others to AWS")
    parser.add_argument("--plan", action="store_true", help="on AWS: only say what would change")
    parser.add_argument("--yes", action="store_true", help="on AWS: do not ask")
    add_data_options(parser)
    parser.set_defaults(run=deploy)


def add_emulators(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("action", choices=("start", "stop", "status"))
    kinds = tuple(stacks.KINDS)
    parser.add_argument("kind", nargs="?", choices=kinds, default=kinds[0], help=f"of start [{kinds[0]}]")
    add_data_options(parser)
    parser.set_defaults(run=emulators)


def deploy(options: argparse.Namespace) -> int:
    """Deploy to AWS, or the local stage to LocalStack, which is started unless it runs.

    Raises:
        Failure: A generated file is not up to date, LocalStack does not start, or something cannot be deployed.
    """
    if options.stage != deployment.STAGE:
        from infra.commands import stage  # brings AWS's client

        return stage.deploy(options.stage, only_plan=options.plan, asks=not options.yes)
    return _deploy_here(options)


def _deploy_here(options: argparse.Namespace) -> int:
    files.current()
    home = home_of(options)
    if serve.find(home) is None:
        deployment.forget()
    running = serve.use("localstack", home)
    data = home / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    variables = deployment.settings(running.variables, data)
    url = deployment.deploy(variables)
    token = first_start.first_token({**gather(options), **variables, "IOTFLOW_STAGE": deployment.STAGE})
    shown = (
        f"\n  token  {terminal.paint(token or '', terminal.GREEN)}\n         the administrator's, shown only this once"
    )
    print(f"""
{terminal.paint("IoTFlow is deployed to LocalStack.", terminal.BOLD)}

  API    {terminal.paint(url, terminal.CYAN)}
  AWS    {running.variables["AWS_ENDPOINT_URL"]}
  data   {data}{shown if token else ""}

End it, with all that LocalStack knows: python3 -m infra emulators stop.
""")
    return Exit.OK


def emulators(options: argparse.Namespace) -> int:
    """Start a stack, stop it, or say what runs.

    Raises:
        Failure: It does not start or stop, or nothing runs.
    """
    home = home_of(options)
    if options.action == "start":
        running: serve.Running | None = serve.use(options.kind, home)
    else:
        running = serve.find(home)
    if running is None:
        message = f"no emulators run in {home}"
        raise Failure(message, Exit.NOT_RUNNING)
    if options.action == "stop":
        serve.stop(running)
        print("Stopped.")
        return Exit.OK
    print("\n".join(f"export {name}={value}" for name, value in running.variables.items()))
    return Exit.OK


def home_of(options: argparse.Namespace) -> Path:
    """The folder of the emulators of a data directory."""
    return data_folder(gather(options)) / "emulators"
