"""The administrator's token of a fresh installation.

`python -m infra.first_start` prints it, or nothing when there was ever one. It runs in a process of its own, so that
the supervisor stays small.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping

from infra.failure import Failure


def first_token(variables: Mapping[str, str]) -> str | None:
    """Make the token, unless the installation has one; shown once, kept nowhere.

    Args:
        variables: The settings of the instance.

    Raises:
        Failure: It cannot be made now; the next start tries again.
    """
    made = subprocess.run(
        [sys.executable, "-m", "infra.first_start"], env=dict(variables), capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        reason = made.stderr.strip().rpartition("\n")[2]
        message = f"no admin token could be made ({reason}); try: python3 -m infra create-admin"
        raise Failure(message)
    return made.stdout.strip() or None


def main() -> int:
    """Print the token of a fresh installation."""
    from chalicelib import settings, tokens
    from chalicelib.model import DEFAULT_TENANT
    from chalicelib.wiring import Services

    chosen = Services(settings.from_environment(os.environ))
    token = tokens.first_token(
        tenant=DEFAULT_TENANT,
        credentials=chosen.credentials,
        pepper=chosen.pepper,
        now_ms=time.time_ns() // 1_000_000,
    )
    if token is not None:
        print(token.text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
