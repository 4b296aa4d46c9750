"""Weight files from a server of our own that behaves as badly as real ones do."""

from __future__ import annotations

import hashlib
import socket
import threading
from dataclasses import replace
from http.client import HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import samnb.models.registry
from samnb.cli import main
from samnb.errors import DownloadFailed, UnknownName
from samnb.models import REGISTRY, Entry, download, load_model
from samnb.models.weights import downloads
from samnb.models.weights.checkpoints import ModelInfo
from samnb.models.weights.downloads import PATIENCE, download_checkpoint, source_of

CONTENT = np.random.default_rng(0).bytes(300_000)
INFO = ModelInfo(
    "vit_x",
    "sam",
    "vit_x.pth",
    len(CONTENT),
    hashlib.sha256(CONTENT).hexdigest(),
    False,
    "A test's.",
    "set by the test",
)


class Server(ThreadingHTTPServer):
    """Serves `content`; the next answers do what `plan` says, then it behaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.asked, self.ranges = CONTENT, [], [], True
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/vit_x.pth"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        plan = server.plan.pop(0) if server.plan else {}
        if "status" in plan:
            self.send_error(plan["status"])
            return
        start = int(wanted.split("=")[1].rstrip("-")) if wanted and server.ranges else 0
        body = server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = body[: plan.get("cut", len(body))]
        self.wfile.write(cut)
        if "cut" in plan:
            self.wfile.flush()
            if plan.get("hang"):
                plan["hang"].wait(300)
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def info(server):
    return replace(INFO, url=server.url)


def test_a_file_is_fetched_once_and_told_as_it_grows(server, info, tmp_path):
    seen = []
    path = download_checkpoint(info, tmp_path / "new", on_progress=lambda there, total: seen.append((there, total)))
    assert path.read_bytes() == CONTENT
    assert seen[0][0] == 0
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert download_checkpoint(info, tmp_path / "new") == path
    assert server.asked == [None]
    assert not list((tmp_path / "new").glob("*.part"))


def test_what_broke_off_is_taken_up(server, info, tmp_path):
    server.plan = [{"cut": 100_000}, {"cut": 50_000}, {"status": 503}]
    path = download_checkpoint(info, tmp_path, pause=0.01)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_a_server_without_ranges_begins_anew(server, info, tmp_path):
    server.plan, server.ranges = [{"cut": 100_000}], False
    assert download_checkpoint(info, tmp_path, pause=0.01).read_bytes() == CONTENT


def test_the_next_call_goes_on_where_the_last_gave_up(server, info, tmp_path):
    server.plan = [{"cut": 123_456}, *[{"status": 500}] * PATIENCE]
    with pytest.raises(DownloadFailed, match=r"123,456 of 300,000 bytes are kept"):
        download_checkpoint(info, tmp_path, pause=0.01)
    assert not (tmp_path / "vit_x.pth").exists()
    assert download_checkpoint(info, tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=123456-"


def test_an_altered_file_is_never_put_in_place(server, info, tmp_path):
    server.content = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]
    with pytest.raises(DownloadFailed, match=r"SHA-256 is .*expected .*altered"):
        download_checkpoint(info, tmp_path)
    assert not list(tmp_path.glob("vit_x.pth")) + list(tmp_path.glob("*.part"))
    server.content = CONTENT
    assert download_checkpoint(info, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("size", [len(CONTENT) - 7, len(CONTENT) + 7, 10])
def test_a_file_of_another_size_is_not_even_read(server, info, tmp_path, size):
    server.content = (CONTENT * 2)[:size]
    with pytest.raises(DownloadFailed, match=rf"the server has {size:,} bytes, expected 300,000"):
        download_checkpoint(info, tmp_path)
    assert len(server.asked) == 1


def test_a_file_that_is_not_there_is_said_at_once(server, info, tmp_path):
    server.plan = [{"status": 404}]
    with pytest.raises(DownloadFailed, match=r"answers 404.*SAMNB_MIRROR"):
        download_checkpoint(info, tmp_path)
    assert len(server.asked) == 1


def test_a_server_that_falls_silent_is_left_and_asked_again(server, info, tmp_path):
    silent = threading.Event()
    server.plan = [{"cut": 90_000, "hang": silent}]
    path = download_checkpoint(info, tmp_path, timeout=1, pause=0.01)
    assert not silent.is_set()  # the first answer never went on
    silent.set()
    assert path.read_bytes() == CONTENT
    assert len(server.asked) >= 2


def test_nobody_there(info, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/vit_x.pth"
        with pytest.raises(DownloadFailed, match=f"the connection broke .*{PATIENCE} times in a row; 0 of 300,000"):
            download_checkpoint(replace(info, url=url), tmp_path, pause=0.001)


def test_a_damaged_rest_of_an_earlier_call_is_noticed(server, info, tmp_path):
    (tmp_path / "vit_x.pth.part").write_bytes(b"x" * 1000)
    with pytest.raises(DownloadFailed, match="SHA-256"):
        download_checkpoint(info, tmp_path)
    (tmp_path / "vit_x.pth.part").write_bytes(b"x" * (len(CONTENT) + 1))
    assert download_checkpoint(info, tmp_path).read_bytes() == CONTENT


def test_a_full_disk_is_told_before_anything_is_asked(server, info, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("samnb.models.weights.downloads.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(DownloadFailed, match=r"1,000 bytes free, 300,000 more are needed"):
        download_checkpoint(info, tmp_path)
    assert server.asked == []


def test_two_at_once_fetch_it_once(server, info, tmp_path):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(download_checkpoint(info, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert len(paths) == 3
    assert len(server.asked) == 1


def test_a_mirror_has_the_same_names(server, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMNB_MIRROR", server.url.removesuffix("/vit_x.pth") + "/")
    assert source_of(INFO) == server.url
    assert download_checkpoint(INFO, tmp_path).read_bytes() == CONTENT


@pytest.fixture
def known(info, monkeypatch, tmp_path):
    """The registry knows vit_x, and this machine has no weights."""
    loaded = []
    entry = Entry(info, lambda info, weights, device: loaded.append(weights) or "the model")
    checked = samnb.models.registry.open_checkpoint
    monkeypatch.setitem(REGISTRY, "vit_x", entry)
    monkeypatch.setattr(
        samnb.models.registry,
        "open_checkpoint",
        lambda info, path: path if info.name == "vit_x" else checked(info, path),
    )
    monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path / "weights"))
    return loaded


def test_the_terminal_fetches_by_name(server, known, tmp_path, capsys):
    assert main(["models", "download", "vit_x"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "weights" / "vit_x.pth")
    assert load_model("vit_x") == "the model"
    assert main(["models", "download"]) == 1
    assert "vit_b" in capsys.readouterr().err
    assert main(["models", "download", "vit_y"]) == 1
    server.plan = [{"status": 404}]
    assert main(["models", "download", "vit_x", "--folder", str(tmp_path / "other")]) == 1
    assert "404" in capsys.readouterr().err


def test_nothing_is_fetched_unasked(server, known, monkeypatch):
    with pytest.raises(Exception, match=r"samnb models download vit_x"):
        load_model("vit_x")
    assert server.asked == []
    monkeypatch.setenv("SAMNB_DOWNLOAD", "1")
    assert load_model("vit_x") == "the model"
    assert len(server.asked) == 1


def test_the_embedded_model_needs_none():
    assert download("tiny").name == REGISTRY["tiny"].info.file_name
    with pytest.raises(UnknownName):
        download("vit_z")
    with pytest.raises(DownloadFailed, match="not published"):
        download_checkpoint(REGISTRY["tiny"].info)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset by peer"), TimeoutError(), OSError(113, "no route")]
)
@pytest.mark.parametrize("when", ["urlopen", "read"])
def test_an_error_of_a_socket_is_one_of_the_network_and_not_of_the_folder(
    server, info, tmp_path, monkeypatch, error, when
):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(*((downloads, "urlopen") if when == "urlopen" else (HTTPResponse, "read")), fail)
    with pytest.raises(DownloadFailed) as told:
        download_checkpoint(info, tmp_path / "weights", pause=0.001)
    assert info.url in str(told.value)
    assert f"the connection broke ({error if error.args else 'TimeoutError'})" in str(told.value)
    assert f"{tmp_path / 'weights'}:" not in str(told.value)


@pytest.mark.parametrize("mirror", ["files.example.org/weights", "http://[::1"])
def test_a_mirror_that_is_no_address_is_told(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMNB_MIRROR", mirror)
    with pytest.raises(DownloadFailed, match=r"not an address .*SAMNB_MIRROR"):
        download_checkpoint(REGISTRY["vit_b"].info, tmp_path)
