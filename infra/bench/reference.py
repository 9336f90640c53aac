"""What the machine could do at best: the same HTTP server, answering the same 201 without any work."""

import socket
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

from infra.bootstrap import ROOT

READY_S = 20.0
BODY = b'{"message":"Telemetry accepted","device_id":1,"device_name":"bench-1","readings":1}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, answer 201."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 201, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


class BareServer:
    """Serves `application` from a process of its own, within a with statement."""

    def __enter__(self) -> Self:
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = int(listener.getsockname()[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "infra.bench.reference", str(listener.fileno())],
            cwd=ROOT,
            pass_fds=[listener.fileno()],
        )
        listener.close()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(READY_S)


def main() -> int:
    """Serve until SIGTERM."""
    import uvicorn

    config = uvicorn.Config(
        application,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
