"""Connections to a server that is starting."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import closing

import pytest

import samnb.catalog.engines
from samnb.catalog import Catalog
from samnb.errors import StoreError


class StartingServer:
    """Answers each connection of a PostgreSQL client with the next of some errors, then with the last."""

    def __init__(self, *answers: str):
        self._answers, self.asked = list(answers), 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql+psycopg://ann:secret@127.0.0.1:{self._socket.getsockname()[1]}/d"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                length = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))[0]
                while struct.unpack("!i", client.recv(length - 4, socket.MSG_WAITALL)[:4])[0] >> 16 != 3:
                    client.sendall(b"N")  # no encryption
                    length = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))[0]
                said = self._answers[min(self.asked, len(self._answers) - 1)]
                self.asked += 1
                fields = b"".join(f"{code}{text}\0".encode() for code, text in (("S", "FATAL"), ("M", said)))
                client.sendall(b"E" + struct.pack("!i", len(fields) + 5) + fields + b"\0")

    def close(self) -> None:
        self._socket.close()


def test_a_postgresql_that_is_starting_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    starting, refused = "the database system is starting up", "password authentication failed"
    with closing(StartingServer(starting, starting, refused)) as server:
        with pytest.raises(StoreError, match=refused):
            Catalog(server.url)
        assert server.asked == 3
    with closing(StartingServer(refused)) as server:
        with pytest.raises(StoreError, match=refused):
            Catalog(server.url)
        assert server.asked == 1
    monkeypatch.setattr(samnb.catalog.engines, "STARTING_S", 0.0)
    with closing(StartingServer(starting)) as server, pytest.raises(StoreError, match=starting):
        Catalog(server.url)
