"""Checks of an external broker: what it needs on this machine, and whether it can be told of devices."""

from collections.abc import Iterator, Sequence

from chalicelib.errors import Unavailable
from chalicelib.ports import BrokerProvisioner
from infra.doctor.finding import Finding, note, ok, warning, wrong

START = "python3 -m infra mosquitto start"


def programs(missing: Sequence[str]) -> Finding:
    """Whether Mosquitto and its plugin are installed; *missing* says what is not, and how to get it."""
    if missing:
        sentence = f"{missing[0].partition(':')[0]}; only up --broker mosquitto and its tests need it"
        return note("mosquitto", sentence, "apt-get install mosquitto")
    return ok("mosquitto", "the broker and its dynamic security plugin are there")


def here(*, runs: bool, damaged: bool) -> Finding:
    """Whether the broker of the data directory runs, and its file of accounts is whole."""
    if damaged:
        sentence = "dynsec.json was cut off when Mosquitto was killed: nobody is let in"
        return wrong("mosquitto", sentence, "python3 -m infra mosquitto rebuild")
    if not runs:
        return note("mosquitto", "the broker of this data directory does not run; nothing starts it again", START)
    return ok("mosquitto", "the broker of this data directory runs")


def telling(broker: BrokerProvisioner, waiting: int) -> Iterator[Finding]:
    """Whether the broker can be told of devices, and how many wait for that."""
    try:
        broker.check()
        yield ok("broker", "it can be told of devices")
    except Unavailable as error:
        yield wrong("broker", error.message, f"{START}, or correct the IOTFLOW_BROKER_ settings")
    finally:
        broker.close()
    if waiting:
        sentence = f"{waiting} devices changed and the broker does not know yet"
        yield warning("broker", sentence, "the bridge tells it: python3 -m infra logs bridge")
