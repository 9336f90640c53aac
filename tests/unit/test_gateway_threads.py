"""One app, several threads."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from chalice.app import Chalice

from infra.local.lambda_context import LambdaContext
from infra.local.per_thread import per_thread
from infra.local.proxy_event import HttpRequest, to_event
from infra.local.router import Match

THREADS, REQUESTS = 8, 1600


def echoing_app() -> Any:
    """An app that answers with what it sees of its request, after giving other threads a chance."""
    app: Any = Chalice("echo", configure_logs=False)
    barrier = Barrier(THREADS)

    @app.route("/{name}")  # type: ignore[untyped-decorator]
    def echo(name: str) -> dict[str, str]:
        barrier.wait(timeout=30)
        request = app.current_request
        return {"path": name, "query": request.query_params["n"], "context": app.lambda_context.aws_request_id}

    return app


def test_threads_never_see_each_other() -> None:
    """1600 requests in 8 threads, all in progress at the same time: none sees another's data."""
    app = per_thread(echoing_app())

    def call(number: int) -> bool:
        request = HttpRequest("GET", b"/x", f"n={number}".encode(), [], b"", "", "1.1")
        event = to_event(
            request,
            Match("/{name}", {"name": str(number)}),
            request_id=str(number),
            now_s=0,
            stage="test",
            is_binary=lambda _: False,
        )
        response = app(event, LambdaContext("echo", str(number), 29))
        expected = f'{{"path":"{number}","query":"{number}","context":"{number}"}}'
        return bool(response["body"] == expected)

    with ThreadPoolExecutor(THREADS) as pool:
        assert sum(pool.map(call, range(REQUESTS))) == REQUESTS


def test_app_is_given_slots_only_once() -> None:
    """Two fronts may share an app."""
    app = per_thread(echoing_app())
    kind = type(app)
    assert type(per_thread(app)) is kind
    assert isinstance(app, Chalice)
