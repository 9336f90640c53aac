"""`python3 -m mqtt_bridge`: the bridge behind an external broker. Needs Python 3.11 and nothing else."""

import sys


def main() -> int:
    """Continue in `.venv`, then bridge until told to stop."""
    from infra.bootstrap import enter
    from infra.failure import Failure

    try:
        enter(["-m", "mqtt_bridge"])
    except Failure as failure:
        print(f"iotflow: {failure}", file=sys.stderr)
        return int(failure.code)
    from infra.local.bridge import main as bridge

    return bridge()


if __name__ == "__main__":
    sys.exit(main())
