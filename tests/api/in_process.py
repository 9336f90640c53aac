"""The real app behind the real front, in a thread of the test, on whatever ports of the core the test gives it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from app import app
from chalicelib import edge
from chalicelib.errors import Unavailable
from chalicelib.http import endpoint_of
from chalicelib.wiring import Services, use
from infra.local.gateway import Gateway
from infra.local.server import FrontServer, listen
from tests.api.client import Client

DEADLINE_S = 10.0


class Down:
    """A port whose backend is silent: every call of it fails as its adapters fail."""

    def __getattr__(self, name: str) -> Any:
        def fail(*_arguments: Any, **_named: Any) -> NoReturn:
            message = "The backend does not answer"
            raise Unavailable(message, retry_after_s=7)

        return fail


@contextmanager
def serving(services: Services) -> Iterator[Client]:
    """A client of the app on these services."""
    gateway = Gateway(app, is_inline=lambda view: endpoint_of(view).inline, refuse=edge.refusal, unknown=app.no_route)
    started = threading.Event()
    listener = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = FrontServer(gateway, on_started=started.set)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="front")
    with use(services):
        thread.start()
        try:
            if not started.wait(DEADLINE_S):
                raise TimeoutError
            yield Client(url)
        finally:
            server.stop()
            thread.join(DEADLINE_S)
            gateway.close()
