"""The server's jars, resolved by Maven once and kept beside other caches of the user."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.failure import Exit, Failure

HERE = Path(__file__).parent
OLDEST_JAVA = 11
_ESSENTIAL = ("iotdb-confignode-*.jar", "iotdb-server-*.jar", "logback-classic-*.jar")


def missing_program() -> str | None:
    """What this machine lacks to run a server, in a sentence; None if it has everything."""
    java = shutil.which(java_path())
    if java is None:
        return "IoTDB needs Java 17: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        return f"IoTDB needs Java {OLDEST_JAVA} or newer: apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
    if shutil.which("mvn") is None and not _complete(folder()):
        return "the jars of IoTDB are resolved with Maven: apt-get install maven"
    return None


def java_path() -> str:
    """The Java to call."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def folder() -> Path:
    """Where the jars of the version that pom.xml names are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = re.search(r"<iotdb\.version>(.+?)<", (HERE / "pom.xml").read_text(encoding="utf-8"))
    version = found[1] if found else "unknown"
    return cache / "iotflow" / f"iotdb-{version}"


def resolve() -> Path:
    """The folder with the jars; the first time Maven loads about 110 MB.

    Raises:
        Failure: Java or Maven is missing, or Maven cannot load them.
    """
    lacking = missing_program()
    if lacking is not None:
        raise Failure(lacking, Exit.INSTALLATION)
    where = folder()
    if _complete(where):
        return where
    print(f"loading the jars of IoTDB into {where} ...", file=sys.stderr, flush=True)
    arguments = ["mvn", "-B", "-q", "-f", str(HERE / "pom.xml"), f"-Diotdb.lib={where}"]
    done = subprocess.run(
        [*arguments, "dependency:copy-dependencies"], capture_output=True, text=True, timeout=900, check=False
    )
    if done.returncode != 0 or not _complete(where):
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it gave no reason"]
        message = f"Maven could not load the jars of IoTDB: {lines[0]}"
        raise Failure(message, Exit.INSTALLATION)
    return where


def _complete(where: Path) -> bool:
    return all(any(where.glob(pattern)) for pattern in _ESSENTIAL)
