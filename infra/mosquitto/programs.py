"""Where Mosquitto and its plugin are on this machine."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from infra.failure import Exit, Failure

PACKAGE = "apt-get install mosquitto"
PLUGIN = "mosquitto_dynamic_security.so"
_PLACES = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")


def broker() -> str:
    """The path of the broker.

    Raises:
        Failure: It is not installed.
    """
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        message = f"the program mosquitto is not installed: {PACKAGE}"
        raise Failure(message, Exit.INSTALLATION)
    return found


def plugin(places: Iterable[str] = _PLACES) -> str:
    """The path of the plugin, which Debian keeps in a folder named after the machine.

    Raises:
        Failure: It is not installed.
    """
    for place in places:
        for found in sorted([*Path(place).glob(PLUGIN), *Path(place).glob(f"*/{PLUGIN}")]):
            return str(found)
    message = f"Mosquitto's dynamic security plugin is not installed: {PACKAGE} (2.0 or newer)"
    raise Failure(message, Exit.INSTALLATION)


def missing(parts: Iterable[Callable[[], str]] = (broker, plugin)) -> list[str]:
    """What is not installed, in sentences."""
    sentences = []
    for part in parts:
        try:
            part()
        except Failure as failure:
            sentences.append(str(failure))
    return sentences
