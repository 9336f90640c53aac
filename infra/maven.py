"""Java servers: their jars, resolved by Maven once and kept beside other caches of the user."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from infra.failure import Exit, Failure

OLDEST_JAVA = 11
_MAVEN_S = 900


class Jars(NamedTuple):
    """The jars of one server.

    Attributes:
        title: What people call it.
        name: Its word in the pom's property ``NAME.version`` and in the name of the folder.
        pom: Names them, and copies them to the folder in the property ``jars``.
        essential: Patterns of files without which the folder is not complete.
    """

    title: str
    name: str
    pom: Path
    essential: tuple[str, ...]

    def folder(self) -> Path:
        """Where the jars of the version that the pom names are kept."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        version = re.search(rf"<{self.name}\.version>(.+?)<", self.pom.read_text(encoding="utf-8"))
        return cache / "iotflow" / f"{self.name}-{version[1] if version else 'unknown'}"

    def missing_program(self) -> str | None:
        """What this machine lacks to run the server, in a sentence; None if it has everything."""
        remedy = "apt-get install openjdk-17-jre-headless, or set JAVA_HOME"
        java = shutil.which(java_path())
        if java is None:
            return f"{self.title} needs Java 17: {remedy}"
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', said)
        if found is None or int(found[1]) < OLDEST_JAVA:
            return f"{self.title} needs Java {OLDEST_JAVA} or newer: {remedy}"
        if shutil.which("mvn") is None and not self._complete(self.folder()):
            return f"the jars of {self.title} are resolved with Maven: apt-get install maven"
        return None

    def resolve(self) -> Path:
        """The folder with the jars; Maven loads them the first time.

        Raises:
            Failure: Java or Maven is missing, or Maven cannot load them.
        """
        lacking = self.missing_program()
        if lacking is not None:
            raise Failure(lacking, Exit.INSTALLATION)
        where = self.folder()
        if not self._complete(where):
            print(f"loading the jars of {self.title} into {where} ...", file=sys.stderr, flush=True)
            where.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=where.parent) as folder:
                self._load(Path(folder) / "jars")
                self._keep(Path(folder) / "jars", where)
        return where

    def _load(self, where: Path) -> None:
        arguments = ["mvn", "-B", "-q", "-f", str(self.pom), f"-Djars={where}", "dependency:copy-dependencies"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=_MAVEN_S, check=False)
        if done.returncode != 0 or not self._complete(where):
            lines = [line for line in done.stdout.splitlines() if "ERROR" in line] or ["it gave no reason"]
            message = f"Maven could not load the jars of {self.title}: {lines[0]}"
            raise Failure(message, Exit.INSTALLATION)

    def _keep(self, loaded: Path, where: Path) -> None:
        """Put the complete folder in place in one step: another process may do the same, or run from it already."""
        try:
            loaded.rename(where)
        except OSError:
            if not self._complete(where):
                shutil.rmtree(where)
                loaded.rename(where)

    def _complete(self, where: Path) -> bool:
        return all(any(where.glob(pattern)) for pattern in self.essential)


def java_path() -> str:
    """The Java to call."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"
