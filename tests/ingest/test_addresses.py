"""Pictures by address: in the bucket of a real S3 server, and on a web server."""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

import samnb.images.addresses
import samnb.session
from samnb.errors import ImageError, ImageNotFound, ImageUnreadable
from samnb.ingest.manifest import listed_in
from samnb.remote_files import file_system, secret_in
from samnb.session import Session
from tests.support.http_server import WebServer
from tests.support.numpy_model import NumpyModel
from tests.support.remote_servers import S3Server, free_port


def picture(seed: int, kind: str = "PNG", size: tuple[int, int] = (24, 32)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@dataclass
class Place:
    """Where a test puts pictures, and the address they have there."""

    address: Callable[[str], str]
    put: Callable[[str, bytes], Any]
    delete: Callable[[str], Any]


@pytest.fixture
def web() -> Iterator[WebServer]:
    server = WebServer()
    yield server
    server.close()


@pytest.fixture
def bucket(s3_server: S3Server, s3_credentials: None) -> Place:
    prefix, client = uuid.uuid4().hex, s3_server.client()
    return Place(
        lambda name: f"s3://lab/{prefix}/{name}?endpoint_url=http://127.0.0.1:{s3_server.port}",
        lambda name, content: client.put_object(Bucket="lab", Key=f"{prefix}/{name}", Body=content),
        lambda name: client.delete_object(Bucket="lab", Key=f"{prefix}/{name}"),
    )


@pytest.fixture
def on_the_web(web: WebServer) -> Place:
    return Place(
        lambda name: f"{web.url}/{name}",
        lambda name, content: web.files.__setitem__(f"/{name}", content),
        lambda name: web.files.pop(f"/{name}"),
    )


@pytest.fixture(params=["bucket", "on_the_web"])
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(samnb.session, "load_model", lambda *args, **options: NumpyModel())
    with Session(tmp_path / "session") as made:
        yield made


def test_pictures_at_addresses_are_used_like_files(place: Place, session: Session) -> None:
    for name in ("a.png", "b.png"):
        place.put(name, picture(ord(name[0])))
    report = session.add([place.address("a.png"), place.address("b.png")], show=False)
    assert (report.added, report.failed) == (2, ())
    image = session.image("a.png")
    assert image.path == place.address("a.png")
    assert image.pixel_hash == samnb.images.pixel_hash(session.pixels("a.png"))
    last = session.prewarm(show=False).wait(300)
    assert (last["computed"], last["failed"]) == (2, 0)
    assert session.predict("b.png", points=[(3, 3)]).cache_hit
    # The same picture on the disk is known.
    local = session.folder.parent / "a copy.png"
    local.write_bytes(picture(ord("a")))
    assert session.add(local, show=False).duplicates == 1
    # Nothing that was moved is looked for.
    assert session.relocate(local.parent).missing == ()


def test_a_changed_object_is_noticed_and_an_unchanged_one_is_not_read(
    place: Place, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = samnb.images.reading.read_file
    monkeypatch.setattr(samnb.images.reading, "read_file", lambda path: read.append(str(path)) or real(path))
    addresses = [place.address("a.png"), place.address("b.png")]
    place.put("a.png", picture(1))
    place.put("b.png", picture(2))
    session.add(addresses, show=False)
    assert sorted(read) == sorted(addresses)
    read.clear()
    assert session.add(addresses, show=False).added == 0
    assert session.add(addresses, dataset="other", show=False).added == 2
    assert read == []
    session.prewarm(show=False).wait(300)
    assert session.predict("a.png", points=[(3, 3)]).cache_hit
    # The same size, other pixels.
    place.put("a.png", picture(3))
    session._encoder.changes._asked.clear()  # a minute later
    with pytest.raises(ImageError, match="pixels changed since it was added"):
        session.predict("default/a.png", points=[(3, 3)])
    read.clear()
    report = session.add(addresses, show=False)
    assert (report.added, report.changed) == (0, 1)
    assert read == [place.address("a.png")]
    # Gone: what was encoded serves on.
    place.delete("b.png")
    session._encoder.changes._asked.clear()
    assert session.predict("default/b.png", points=[(3, 3)]).cache_hit


def test_folders_and_globs_of_a_bucket(bucket: Place, session: Session) -> None:
    for name in ("x/2.png", "x/10.png", "x/deep/3.jpg", "x/.hidden.png", "x/notes.txt", "y/4.png"):
        bucket.put(name, picture(len(name), "JPEG" if name.endswith("jpg") else "PNG"))
    report = session.add(bucket.address("x/*.png"), dataset="glob", show=False)
    assert [image.filename for image in report.images] == ["2.png", "10.png"]
    report = session.add(bucket.address("x"), dataset="folder", show=False)
    assert [image.filename for image in report.images] == ["2.png", "10.png", "3.jpg"]
    assert len(session.add(bucket.address("**/*.png"), dataset="deep", show=False).images) == 3
    with pytest.raises(ImageNotFound, match=r"none\.png"):
        session.add(bucket.address("none.png"), show=False)
    with pytest.raises(ImageNotFound, match=r"nothing found"):
        session.add(bucket.address("x/*.bmp"), show=False)


def test_one_bad_object_never_stops_a_batch(web: WebServer, session: Session) -> None:
    names = [f"{number}.png" for number in range(6)]
    web.files |= {f"/{name}": picture(number) for number, name in enumerate(names)}
    web.files["/1.png"] = b"no picture"
    web.files["/2.png"] = b""
    web.status |= {"/3.png": 403, "/4.png": 400}
    report = session.add([f"{web.url}/{name}" for name in (*names, "gone.png")], show=False)
    assert [image.filename for image in report.images] == ["0.png", "5.png"]
    reasons = {failure.path.rpartition("/")[2]: failure.reason for failure in report.failed}
    assert "not a picture" in reasons["1.png"]
    assert "empty" in reasons["2.png"]
    assert "access is denied" in reasons["3.png"]
    assert "~/.netrc" in reasons["3.png"]
    assert "400" in reasons["4.png"]
    assert "nothing found" in reasons["gone.png"]
    # Denied later: reported, and the other one is encoded.
    web.status["/0.png"] = 401
    last = session.prewarm(show=False).wait(300)
    assert (last["computed"], last["failed"]) == (1, 1)


def test_access_that_a_bucket_denies_is_said(bucket: Place, session: Session, s3_server: S3Server) -> None:
    bucket.put("a.png", picture(1))
    reset = f"http://127.0.0.1:{s3_server.port}/moto-api/reset-auth"
    urlopen(Request(reset, b"0", {"Content-Type": "text/plain"})).close()
    try:
        with pytest.raises(ImageUnreadable, match="access is denied"):
            session.add(bucket.address("a.png"), show=False)
    finally:
        urlopen(Request(reset, b"1000000000", {"Content-Type": "text/plain"})).close()


def test_a_store_that_is_away_for_a_while_costs_no_picture(web: WebServer, session: Session) -> None:
    web.files["/a.png"] = picture(1)
    web.status["/a.png"] = 503
    seen = web.requests

    class Later(dict):
        def get(self, key: str, default: int = 200) -> int:  # type: ignore[override]
            return 503 if sum(seen.values()) < 6 else default

    web.status = Later()
    assert session.add(f"{web.url}/a.png", show=False).added == 1
    assert sum(seen.values()) > 6


def test_a_host_that_does_not_answer_is_waited_for_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samnb.images.addresses, "PATIENCE", 0.3)
    monkeypatch.setattr(samnb.images.addresses.remote_status, "__kwdefaults__", {"patience": 0.3})
    port = free_port()
    report = session.add([f"http://127.0.0.1:{port}/{n}.png" for n in range(40)], show=False)
    assert len(report.failed) == 40
    assert "cannot be read" in report.failed[0].reason


@pytest.mark.parametrize(
    "address",
    [
        "https://lab:s3cret@host.example/a.png",
        "sftp://lab%3as3cret@host.example/a.png",
        "https://host.example/a.png?X-Amz-Signature=s3cret",
        "https://host.example/a.png?AWSAccessKeyId=s3cret",
        "https://host.example/a.png?pwd=s3cret",
        "https://host.example/a.png?sig=s3cret&sv=2",
        "https://host.example/a.png#token=s3cret",
        "s3://lab/a.png?secret=s3cret",
        "s3://lab/a.png?endpoint_url=http://lab:s3cret@minio:9000",
    ],
)
def test_an_address_with_a_credential_is_refused_and_not_shown(address: str, session: Session) -> None:
    with pytest.raises(ImageError, match="without credentials") as raised:
        session.add(address, show=False)
    assert "s3cret" not in str(raised.value)
    report = session.add([address, np.zeros((5, 6, 3), np.uint8)], show=False)
    assert report.added == 1
    assert "s3cret" not in str(report)
    assert b"s3cret" not in (session.folder / "catalog.db").read_bytes()


@pytest.mark.parametrize("option", ["keyword", "author", "design", "session_of_day", "size"])
def test_an_option_that_only_sounds_like_a_credential_is_none(option: str) -> None:
    assert secret_in(f"https://host.example/a.png?{option}=2") == secret_in(f"s3://lab/{option}#1.png") == ""


def test_an_object_cannot_make_this_computer_open_its_own_files(web: WebServer, session: Session) -> None:
    web.files["/a.png]"] = web.files["/a.png%5D"] = (
        b'{"samnb": "view", "version": 1, "source": "/etc/passwd", "at": {}, "mapping": {}}'
    )
    report = session.add([f"{web.url}/a.png]"], show=False)
    assert "not a picture" in report.failed[0].reason


@pytest.mark.parametrize("kind", ["csv", "tsv", "txt", "parquet", "plain csv", "spreadsheet csv"])
def test_a_manifest_lists_addresses_and_paths(kind: str, web: WebServer, session: Session, tmp_path: Path) -> None:
    web.files |= {f"/{number}.png": picture(number) for number in range(3)}
    (tmp_path / "here.png").write_bytes(picture(9))
    entries = [*(f"{web.url}/{number}.png" for number in range(3)), "here.png", "gone.png"]
    file = tmp_path / f"plates.{kind.rpartition(' ')[2]}"
    if kind == "parquet":
        pyarrow = pytest.importorskip("pyarrow", reason='needs pip install "samnb[parquet]"')
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"n": range(5), "Url": entries, "url": entries}), file)
    elif kind in ("csv", "tsv", "spreadsheet csv"):
        mark = {"csv": ",", "tsv": "\t"}.get(kind, ";")
        file.write_text(
            "".join(f"{a}{mark}{b}\n" for a, b in [("well", "address"), *zip("ABCDE", entries, strict=True)]),
            encoding="utf-16" if kind.startswith("spreadsheet") else "utf-8",
        )
    else:
        file.write_text("".join(f"{entry}\n" for entry in entries))
    report = session.add(str(file), show=False)
    assert [image.filename for image in report.images] == ["0.png", "1.png", "2.png", "here.png"]
    assert [failure.path.rpartition("/")[2] for failure in report.failed] == ["gone.png"]


def test_a_line_that_is_no_picture_names_its_manifest(session: Session, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello\n")
    [failure] = session.add(tmp_path / "notes.txt").failed
    assert failure.path.endswith("hello")
    assert failure.reason.endswith("(listed in notes.txt)")


def test_a_line_of_a_manifest_that_begins_with_file_is_a_file(session: Session, tmp_path: Path) -> None:
    (tmp_path / "a b.png").write_bytes(picture(1))
    (tmp_path / "list.txt").write_text(f"{(tmp_path / 'a b.png').as_uri()}\nfile://localhost{tmp_path}/gone.png\n")
    report = session.add(tmp_path / "list.txt", show=False)
    assert [image.path for image in report.images] == [str(tmp_path / "a b.png")]
    assert [failure.path for failure in report.failed] == [str(tmp_path / "gone.png")]
    assert session.add(tmp_path / "a b.png", show=False).added == 0


@pytest.mark.parametrize("host", ["server", "localhost.lab"])
def test_a_file_on_another_computer_is_refused_by_its_name(host: str, session: Session, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text(f"file://{host}/share/b.png\nfile://\na.png\n")
    report = session.add(tmp_path / "list.txt", show=False)
    assert [image.filename for image in report.images] == ["a.png"]
    assert [failure.path for failure in report.failed] == [f"file://{host}/share/b.png", "file://"]
    assert f"got '{host}' as the computer's name" in report.failed[0].reason
    with pytest.raises(ImageError, match=f"got '{host}' as"):
        session.add(f"file://{host}/share/b.png", show=False)


def test_only_the_name_of_a_column_makes_semicolons_what_is_between_cells(tmp_path: Path) -> None:
    def listed(text: str) -> list[str]:
        (tmp_path / "list.csv").write_text(text)
        return list(listed_in(str(tmp_path / "list.csv")))

    assert listed("s3://lab/a;b;c.png,A1\ns3://lab/d.png,A2\n") == ["s3://lab/a;b;c.png", "s3://lab/d.png"]
    assert listed('"stain; dye; salt",path\nx,s3://lab/d.png\n') == ["s3://lab/d.png"]
    assert listed("well;Path\nx;s3://lab/d.png\n") == ["s3://lab/d.png"]


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_a_file_without_lines_is_not_read_to_its_end(kind: str, tmp_path: Path) -> None:
    (tmp_path / f"list.{kind}").write_text("path,well\n" + "b.png," * 500_000)
    with pytest.raises(ImageUnreadable, match="a line of it has more than 1,048,576 characters"):
        list(listed_in(str(tmp_path / f"list.{kind}")))


def test_a_folder_that_is_named_like_a_manifest_is_a_folder(session: Session, tmp_path: Path) -> None:
    folder = tmp_path / "plates.parquet"
    folder.mkdir()
    (folder / "a.png").write_bytes(picture(1))
    assert [image.filename for image in session.add(folder, show=False).images] == ["a.png"]
    (tmp_path / "list.txt").write_text("plates.parquet\n")
    assert session.add(tmp_path / "list.txt", show=False).failed == ()


class HostFiles(MemoryFileSystem):
    """A made-up file system whose addresses have a host, as those of FTP do; each host has its own files."""

    protocol = "madeup"
    cachable = False

    def __init__(self, host: str, port: int = 21, **options: Any):
        super().__init__(**options)
        self.made_for = host, port
        self.made_in = threading.get_ident()
        self.store = HOSTS[host]

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        path = str(path)
        inside = (urlsplit(path).path if "://" in path else path).strip("/")
        return inside and f"/{inside}"

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        return {"host": urlsplit(path).hostname}

    def cat_file(self, path: str, **options: Any) -> bytes:
        assert self.made_in == threading.get_ident(), "one connection, two threads"
        return super().cat_file(path, **options)


HOSTS: dict[str, dict[str, Any]] = {}


def test_addresses_with_a_host(session: Session) -> None:
    fsspec.register_implementation("madeup", HostFiles, clobber=True)
    for number, host in enumerate(("one.lab", "two.lab")):
        HOSTS[host] = {}
        HostFiles(host).pipe({f"/x/{name}.png": picture(10 * number + name) for name in range(4)})
    report = session.add(["madeup://one.lab/x", "madeup://two.lab/x/*1.png", "madeup://one.lab/x/9.png"], show=False)
    expected = [f"madeup://one.lab/x/{name}.png" for name in range(4)] + ["madeup://two.lab/x/1.png"]
    assert [image.path for image in report.images] == expected
    assert len({image.pixel_hash for image in report.images}) == 5
    assert [failure.path for failure in report.failed] == ["madeup://one.lab/x/9.png"]
    # A folder that is the whole host.
    assert [image.path for image in session.add("madeup://two.lab/", dataset="root", show=False).images] == [
        f"madeup://two.lab/x/{name}.png" for name in range(4)
    ]


class ConnectedFiles(HostFiles):
    """Connects when it is made, as the file systems of FTP and SFTP do."""

    protocol = "connected"
    refuses: list[Exception] = []  # noqa: RUF012  # one for each that is made
    made = 0

    def __init__(self, host: str, **options: Any):
        super().__init__(host, **options)
        type(self).made += 1
        self.is_dead = False
        if self.refuses:
            raise self.refuses.pop(0)

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        if self.is_dead:
            raise EOFError
        return super().info(path, **options)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a picture on a host of `ConnectedFiles`."""
    fsspec.register_implementation("connected", ConnectedFiles, clobber=True)
    host = f"{uuid.uuid4().hex}.lab"
    monkeypatch.setitem(HOSTS, host, {})
    monkeypatch.setattr(ConnectedFiles, "refuses", [])
    HostFiles(host).pipe({"/a.png": picture(1)})
    return f"connected://{host}/a.png"


def test_a_host_that_refuses_connections_for_a_while_costs_no_picture(connected: str, session: Session) -> None:
    ConnectedFiles.refuses += [ConnectionRefusedError("not yet"), EOFError()]
    assert session.add(connected, show=False).added == 1
    assert ConnectedFiles.refuses == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (type("AuthenticationException", (Exception,), {})("no"), "access is denied"),
        (ImportError("no libfiles"), "libfiles"),
    ],
)
def test_what_no_waiting_changes_is_not_tried_again(connected: str, error: Exception, said: str) -> None:
    ConnectedFiles.refuses += [error, error]
    with pytest.raises(ImageUnreadable, match=said):
        samnb.images.addresses.remote_status(connected)
    assert len(ConnectedFiles.refuses) == 1


def test_a_dead_connection_is_not_kept_when_patience_is_over(connected: str) -> None:
    assert samnb.images.addresses.remote_status(connected).st_size > 0
    file_system(connected)[0].is_dead = True
    with pytest.raises(ImageUnreadable, match="cannot be read"):
        samnb.images.addresses.remote_status(connected, patience=-1)
    assert samnb.images.addresses.remote_status(connected, patience=-1).st_size > 0


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("ftp://lab@host/a.png", ""),
        ("ftp://lab:s3cret@host/a.png", "a user or a password before the host"),
        ("https://token@host/a.png", "a user or a password before the host"),
        ("s3://key@bucket/a.png", "a user or a password before the host"),
        ("sftp://lab%3As3cret@host/a.png", "a user or a password before the host"),
        ("github://org:repo@main/a.png", ""),
        ("abfs://container@account.dfs.core.windows.net/a.png", ""),
        ("abfss://container:s3cret@account.dfs.core.windows.net/a.png", "a user or a password before the host"),
    ],
)
def test_what_is_before_an_at_sign_may_be_a_credential(address: str, found: str) -> None:
    assert secret_in(address) == found


def test_a_manifest_without_pictures_says_what_it_has(session: Session, tmp_path: Path) -> None:
    (tmp_path / "plates.csv").write_text("well,depth\nA1,3\n")
    with pytest.raises(ImageError, match=r"expected a column named address.*got well, depth"):
        session.add(tmp_path / "plates.csv", show=False)
    (tmp_path / "plates.txt").write_text("\n")
    with pytest.raises(ImageNotFound, match="at least one"):
        session.add(tmp_path / "plates.txt", show=False)


def test_a_bad_line_and_a_list_within_a_list_stop_no_manifest(session: Session, tmp_path: Path) -> None:
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "a.png")
    listed = tmp_path / "list.txt"
    listed.write_text("https://[abc/b.png\nlist.txt\na.png\n")
    report = session.add(listed)
    assert [image.filename for image in report.images] == ["a.png"]
    reasons = [failure.reason for failure in report.failed]
    assert len(reasons) == 2
    assert "no address that can be read" in reasons[0]
    assert "a list of pictures within a list" in reasons[1]


def test_later_reads_nothing_until_it_is_needed(web: WebServer, session: Session, tmp_path: Path) -> None:
    web.files |= {f"/{number}.png": picture(number) for number in range(4)}
    manifest = tmp_path / "plates.txt"
    manifest.write_text("".join(f"{web.url}/{number}.png\n" for number in (0, 1, 2, 3, 7)))
    report = session.add(manifest, hash="later", show=False)
    assert (report.added, report.failed, web.requests.total()) == (5, (), 0)
    assert not any(image.is_read for image in session.images())
    assert session.add(manifest, hash="later", show=False).added == 0
    assert web.requests.total() == 0
    assert session.pixels("1.png").shape == (24, 32, 3)
    last = session.prewarm(show=False).wait(300)
    assert (last["computed"], last["failed"]) == (4, 1)
    assert [image.filename for image in session.images() if not image.is_read] == ["7.png"]
    assert session.status().cached == 4
    # Added again, what was read stays read.
    session.add(manifest, hash="later", show=False)
    assert sum(image.is_read for image in session.images()) == 4


def test_a_large_picture_in_a_bucket_is_read_in_parts(
    bucket: Place, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip("tifffile", reason='needs pip install "samnb[scientific]"')
    pixels = np.random.default_rng(0).integers(0, 256, (600, 700, 3), np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, tile=(256, 256), photometric="rgb")
    bucket.put("large.tif", buffer.getvalue())
    monkeypatch.setattr(samnb.images, "MAX_PIXELS", 100_000)
    monkeypatch.setattr(session._encoder.large, "above", 100_000)
    report = session.add(bucket.address("large.tif"), show=False)
    assert (report.added, report.failed) == (1, ())
    np.testing.assert_array_equal(session.region_pixels("large.tif", (100, 50, 300, 250)), pixels[50:250, 100:300])
