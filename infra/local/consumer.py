"""The queue consumer: `python -m infra.local.consumer`, one process of `python3 -m infra up`.

It calls the very `@app.on_sqs_message` handler that a Lambda would run.
"""

import os
from contextlib import suppress
from typing import Any

from chalice.app import SQSEventConfig

from app import app
from chalicelib.errors import Unavailable
from infra.local import garbage
from infra.local.child import Child
from infra.local.opening import open_services
from infra.local.poller import Handler, Poller


def sqs_handler(chalice_app: Any) -> tuple[str, str, Handler]:
    """Name, queue and handler of the app's one `on_sqs_message`.

    Raises:
        LookupError: It has none, or several.
    """
    sources = [source for source in chalice_app.event_sources if isinstance(source, SQSEventConfig)]
    if len(sources) != 1:
        message = f"the app has {len(sources)} queue handlers, the local consumer runs exactly one"
        raise LookupError(message)
    source = sources[0]
    queue_name = source.queue or str(source.queue_arn).rpartition(":")[2]
    return source.name, queue_name, chalice_app.handler_map[source.name]


def main() -> int:
    """Consume until told to stop; the exit code is 0 after a drain."""
    child = Child(os.environ)
    name, queue_name, handler = sqs_handler(app)
    current = open_services()
    poller = Poller(
        current.queue, handler, name=name, queue_name=queue_name, visibility_s=current.settings.visibility_s
    )
    garbage.settle()
    child.ready()
    poller.run(child.draining)
    current.queue.close()
    with suppress(Unavailable):  # counts of the last second, for dashboards only
        current.counters.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
