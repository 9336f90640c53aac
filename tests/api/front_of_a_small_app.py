"""The small app as a process of its own: what the drain tests start and end. Prints its port."""

import os
import sys
import threading

from infra.local.child import Child
from infra.local.gateway import Gateway
from infra.local.server import listen, serve
from tests.api.running_front import Small, refusal


def main() -> None:
    """Serve until told to stop. /hang answers 0.5 s after draining began, or never if the argument says so."""
    child = Child(os.environ)
    small = Small()
    if sys.argv[1:] == ["never"]:
        small.patience_s = 3600.0
    else:
        child.on_drain(threading.Timer(0.5, small.leave.set).start)
    listener = listen("127.0.0.1", 0)
    print(listener.getsockname()[1], flush=True)
    gateway = Gateway(small.app(), is_inline=lambda view: view.__name__ != "hang", refuse=refusal)
    serve(gateway, listener, child)
    gateway.close()
    print("IOTFLOW_READY_FD" in os.environ, flush=True)


if __name__ == "__main__":
    main()
