"""What an operator is told when the machine lacks what IoTDB needs."""

from pathlib import Path

import pytest

from infra.failure import Exit, Failure
from infra.iotdb.jars import JARS


def test_missing_java_is_said_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(Failure, match="needs Java 17: apt-get install openjdk-17-jre-headless") as caught:
        JARS.resolve()
    assert caught.value.code == Exit.INSTALLATION


def test_missing_maven_is_said_when_the_jars_are_not_there_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n", encoding="ascii")
    java.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert JARS.missing_program() == "the jars of IoTDB are resolved with Maven: apt-get install maven"
