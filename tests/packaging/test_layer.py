"""The layer with the client of IoTDB."""

import subprocess
import zipfile
from pathlib import Path

from infra.aws import layer, packaging
from infra.aws.archive import digest

LARGEST_BYTES = 3_000_000
CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
from iotdb.thrift.rpc.IClientRPCService import Client
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol import fastbinary
from thrift.transport import TSocket, TSSLSocket, TTransport
assert not {"pandas", "numpy", "sqlalchemy"} & sys.modules.keys()
print(Client.__name__, fastbinary.__file__.startswith(sys.argv[1]))
"""


def test_it_is_small_and_holds_the_client_only(prod: Path) -> None:
    file = prod / layer.FILE
    assert file.stat().st_size < LARGEST_BYTES
    with zipfile.ZipFile(file) as zipped:
        assert {"/".join(name.split("/")[:2]) for name in zipped.namelist()} == {"python/iotdb", "python/thrift"}
        assert not [name for name in zipped.namelist() if name.endswith(".py")]


def test_lambdas_python_imports_the_client_from_nothing_else(environment: Path, tmp_path: Path) -> None:
    file = layer.build(environment, "x86_64", tmp_path / "out")
    with zipfile.ZipFile(file) as zipped:
        zipped.extractall(tmp_path / "opt")
    command = [str(packaging.interpreter()), "-I", "-c", CLIENT, str(tmp_path / "opt" / "python")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Client True\n", "")


def test_the_same_pins_give_the_same_layer(environment: Path, prod: Path, tmp_path: Path) -> None:
    assert digest(layer.build(environment, "arm64", tmp_path)) == digest(prod / layer.FILE)
