"""The README's MQTT examples work as they stand there."""

import json
import re
import subprocess
import threading

from mqtt_bridge.packets import V5
from tests.backends import require_program
from tests.e2e.instance import ROOT, Instance, eventually
from tests.e2e.mqtt_peer import Peer
from tests.e2e.posting import call, register

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_mosquitto_example_works(instance: Instance) -> None:
    require_program("mosquitto_pub", backend="mosquitto", package="mosquitto-clients")
    owner = register(instance.url, "kitchen")
    variables = {"ID": str(owner.id), "KEY": owner.key, "TOKEN": instance.token, "PATH": "/usr/local/bin:/usr/bin:/bin"}
    examples = re.findall(r"^mosquitto_.*$", README, flags=re.MULTILINE)
    publish, commands, tap = (line.replace("1883", str(instance.mqtt_ports["mqtt"])) for line in examples)

    def run(line: str) -> str:
        done = subprocess.run(
            ["bash", "-c", line], env=variables, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(publish) == ""
    latest = f"/api/v1/telemetry/{owner.id}/latest"
    assert eventually(lambda: call(instance.url, latest)[0] == 200)
    assert call(instance.url, latest)[1]["latest_data"]["temperature"] == 23.5

    call(
        instance.url,
        f"/api/v1/mqtt/device/{owner.id}/command",
        body={"command": {}, "command_type": "reboot"},
        headers={"Authorization": f"Bearer {instance.token}"},
    )
    assert json.loads(run(commands))["type"] == "reboot"

    stop = threading.Event()
    with Peer(instance.mqtt_ports["mqtt"], level=V5) as peer:
        peer.connect(str(owner.id), owner.key)

        def publish_until_heard() -> None:
            while not stop.wait(0.2):
                peer.publish(f"iotflow/devices/{owner.id}/telemetry", b'{"temperature": 1}')

        publisher = threading.Thread(target=publish_until_heard)
        publisher.start()
        try:
            assert json.loads(run(tap)) == {"temperature": 1}
        finally:
            stop.set()
            publisher.join()
