"""`python3 -m infra VERB`: everything an operator or a developer types. Needs Python 3.11 and nothing else."""

import sys

OLDEST = (3, 11)


def main(arguments: list) -> int:  # type: ignore[type-arg]  # this file has to be readable by an old Python
    """Run one verb and return its exit code."""
    if sys.version_info < OLDEST:
        print("iotflow: this needs Python 3.11 or newer, not {}.{}".format(*sys.version_info), file=sys.stderr)
        return 7
    from infra.commands import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
