"""`certs`: a certificate authority for development, and a certificate of it for this machine."""

import argparse
import shutil
import subprocess
from pathlib import Path

from infra.failure import Exit, Failure

DAYS = 825
"""Some clients refuse server certificates that live longer."""


def add_certs(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", nargs="?", default="var/certs", help="where the files go [var/certs]")
    parser.add_argument(
        "--name", action="append", default=[], metavar="HOST", help="also valid for this name or address"
    )
    parser.set_defaults(run=certs)


def certs(options: argparse.Namespace) -> int:
    """Make ca.crt, server.crt and server.key; an authority that is there already is used again.

    Raises:
        Failure: openssl is missing, or could not do it.
    """
    folder = Path(options.folder).absolute()
    make(folder, options.name)
    print(
        f"""MQTT_TLS_CERTIFICATE={folder / "server.crt"}
MQTT_TLS_PRIVATE_KEY={folder / "server.key"}
# clients trust {folder / "ca.crt"}"""
    )
    return Exit.OK


def make(folder: Path, names: list[str]) -> None:
    """Make the files in *folder*; the server's certificate is valid for localhost, 127.0.0.1, ::1 and *names*.

    Raises:
        Failure: openssl is missing, or could not do it.
    """
    if shutil.which("openssl") is None:
        message = "the program openssl is not installed: apt-get install openssl"
        raise Failure(message, Exit.INSTALLATION)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        message = f"{folder} cannot be made: {error.strerror}"
        raise Failure(message, Exit.DATA_FOLDER) from None
    new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(DAYS))
    authority = ("-CA", str(folder / "ca.crt"), "-CAkey", str(folder / "ca.key"))
    if not (folder / "ca.key").exists():
        signing = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
        _openssl(folder, "ca", new, "/CN=IoTFlow development CA", signing)
    subject = ",".join(_alternative(name) for name in ["localhost", "127.0.0.1", "::1", *names])
    extensions = ("basicConstraints=critical,CA:FALSE", f"subjectAltName={subject}", "extendedKeyUsage=serverAuth")
    _openssl(folder, "server", (*new, *authority), "/CN=localhost", extensions)


def _openssl(folder: Path, name: str, command: tuple[str, ...], subject: str, extensions: tuple[str, ...]) -> None:
    key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
    options = ["-keyout", str(key), "-out", str(certificate), "-subj", subject]
    for extension in extensions:
        options += ["-addext", extension]
    done = subprocess.run(["openssl", *command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"openssl could not make {certificate.name}: {done.stderr.strip().splitlines()[-1]}"
        raise Failure(message)
    key.chmod(0o600)


def _alternative(name: str) -> str:
    is_address = ":" in name or name.replace(".", "").isdecimal()
    return f"{'IP' if is_address else 'DNS'}:{name}"
