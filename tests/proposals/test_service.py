"""Proposals through a session: searched once, kept, offered, accepted, rejected."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from PIL import Image

import samnb
from samnb.errors import ImageChanged, PromptError, SessionTooNew, UnknownName, UnknownOption
from samnb.jobs import JobControl
from samnb.proposals import Everything, Proposals, query_key
from samnb.records import BY_HAND
from samnb.session import Session
from tests.support.numpy_model import NumpyModel
from tests.templates.test_strategies import GREEN, RED, scene

FEW: dict[str, Any] = {"points_per_side": 8, "pred_iou_thresh": 0.85}
CHILD = Path(__file__).parents[1] / "support" / "propose_child.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(samnb.__file__).parents[1])}


def test_a_picture_is_searched_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    image = session.images()[0]
    first = session.segment_everything(image, **FEW)
    monkeypatch.setattr(NumpyModel, "decode", lambda *args, **options: pytest.fail("searched again"))
    again = session.segment_everything(image, **FEW)
    assert [one.record for one in again] == [one.record for one in first]


def test_what_another_process_saved_meanwhile_is_not_counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in session.segment_everything_stream(**FEW):
        pass
    monkeypatch.setattr(session.catalog, "searched", lambda *_: set())  # as read before the other one saved
    assert [event.get("masks") for event in session.segment_everything_stream(**FEW)] == [0, 0, 0, 0]


def test_no_encoder_runs_on_prewarmed_images(session: Session) -> None:
    before = session.model.encodes
    events = list(session.segment_everything_stream(**FEW))
    assert [event.status for event in events] == ["computed"] * 3 + ["done"]
    assert session.model.encodes == before
    assert events[-1].get("encoded") == 0
    assert all(event.get("cache_hit") for event in events[:-1])


def test_what_is_not_prewarmed_is_encoded_and_counted(session: Session) -> None:
    [image] = session.add(scene([(20, 20, 30, RED)]), dataset="cold", show=False).images
    first, last = session.segment_everything_stream("cold", **FEW)
    assert (first.get("cache_hit"), last.get("encoded"), first.filename) == (False, 1, image.filename)


def test_a_second_run_goes_on_where_the_first_stopped(session: Session) -> None:
    stream = session.segment_everything_stream(**FEW)
    next(stream)
    stream.close()
    statuses = [event.status for event in session.segment_everything_stream(**FEW)]
    assert statuses == ["skipped", "computed", "computed", "done"]


def test_a_cancelled_job_keeps_what_is_done(session: Session) -> None:
    query = session.everything(**FEW)
    job = session.propose(query, show=False)
    job.subscribe(lambda event: job.cancel() if event.status == "computed" else None)
    last = job.wait(300)
    assert last.get("cancelled") or last.get("computed") == 3
    assert session.propose(query, show=False).wait(300).get("skipped") == last.get("computed")


def test_the_same_picture_in_another_dataset_is_not_searched_again(session: Session) -> None:
    first = session.images()[0]
    session.add(Path(first.path), dataset="again", show=False)
    events = list(session.segment_everything_stream(**FEW))
    assert [event.status for event in events] == ["computed"] * 3 + ["skipped", "done"]
    one, other = session.proposals(images=[first]), session.proposals("again")
    assert [a.id for a in one] == [b.id for b in other]
    assert {a.dataset for a in other} == {"again"}


def test_one_bad_image_stops_nothing(session: Session) -> None:
    bad = session.images()[1]
    for path in (session.folder / "embeddings").rglob("*.safetensors"):
        path.unlink()
    Path(bad.path).unlink()
    events = list(session.segment_everything_stream(**FEW))
    assert [event.status for event in events] == ["computed", "failed", "computed", "done"]
    assert events[1].get("error")
    assert events[-1].get("failed") == 1
    assert events[-1]["report"].endswith("on 2 images, 0 searched before, 1 failed")


def test_one_image_that_fails_raises(session: Session) -> None:
    [image] = session.add(scene([(20, 20, 30, RED)]), dataset="cold", show=False).images
    Path(image.path).unlink()
    with pytest.raises(samnb.errors.ImageError):
        session.segment_everything(image, **FEW)


def test_proposals_are_no_annotations(session: Session) -> None:
    list(session.segment_everything_stream(**FEW))
    assert len(session.proposals()) > 3
    assert session.annotations() == []
    assert session.export("coco", session.folder / "coco.json").annotations == 0


def test_an_export_holds_them_on_request(session: Session) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    [kept] = session.accept_proposals(found[0], category="square")
    path = session.folder / "coco.json"
    assert session.export("coco", path, proposals=found[1:]).annotations == len(found)
    coco = json.loads(path.read_text())
    names = {one["id"]: one["name"] for one in coco["categories"]}
    assert [names[one["category_id"]] for one in coco["annotations"]] == ["square", *["proposal"] * len(found[1:])]
    assert len({one["id"] for one in coco["annotations"]}) == len(found)
    assert [a.id for a in session.annotations()] == [kept.id]
    with pytest.raises(UnknownOption, match="proposals"):
        session.export("recipe", path, proposals=found)


def test_accepted_ones_are_annotations_by_hand_and_not_offered_again(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    changed: list[object] = []
    session.changes.subscribe(changed.append)
    [one, other] = session.accept_proposals(found[:2], category=" square ")
    assert changed == [image.id]
    assert (one.category, one.source, one.model) == ("square", BY_HAND, session.model.fingerprint)
    assert (one.rle, one.bbox, one.prompt) == (found[0].rle, found[0].bbox, found[0].prompt)
    assert {a.id for a in session.proposals(images=[image])} == {a.id for a in found[2:]}
    everything = session.proposals(images=[image], annotated=True)
    assert [a.review for a in everything] == ["accepted", "accepted", *[""] * len(found[2:])]
    assert [a.id for a in session.annotations()] == [one.id, other.id]


def test_accepting_twice_saves_once(session: Session) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    first = session.accept_proposals(found[0], category="square")
    again = session.accept_proposals(found[:2], category="square")
    assert again[0].id == first[0].id
    assert len(session.annotations()) == 2


def test_a_mask_that_is_accepted_twice_at_once_is_saved_once(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    same = session.segment_everything(image, points_per_side=8, pred_iou_thresh=0.84)
    assert [one.rle for one in same] == [one.rle for one in found]
    saved = session.accept_proposals([*found, *same, *found], category="square")
    assert [one.rle for one in saved] == [one.rle for one in found]
    assert len(session.annotations()) == len(found)
    assert {one.review for one in session.proposals(annotated=True)} == {"accepted"}


def test_sessions_that_accept_the_same_at_once_save_it_once(session: Session) -> None:
    session.segment_everything(session.images()[0], **FEW)
    others = [Session(session.folder) for _ in range(4)]
    found = [other.proposals() for other in others]
    together = Barrier(4)

    def accept(other: Session, proposals: Proposals) -> list[int]:
        together.wait()
        return [one.id for one in other.accept_proposals(proposals, category="square")]

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(accept, others, found))
    assert ids == [[one.id for one in session.annotations()]] * 4
    assert len(ids[0]) == len(found[0]) > 0
    for other in others:
        other.close()


def test_nothing_is_saved_of_proposals_that_are_gone(session: Session) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    session.forget_proposals()
    with pytest.raises(UnknownName, match="proposal"):
        session.accept_proposals(found, category="square")
    assert session.annotations() == []


def test_what_is_annotated_otherwise_is_not_offered(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    annotation = session.accept_mask(image, found[0].mask, category="square")
    assert found[0].id not in {one.id for one in session.proposals()}
    session.remove(annotation)
    assert found[0].id in {one.id for one in session.proposals()}


def test_rejected_ones_are_not_offered_until_undone(session: Session) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    assert session.reject_proposals(found[0]) == 1
    assert found[0].id not in {one.id for one in session.proposals(annotated=True)}
    assert found[0].id in {one.id for one in session.proposals(rejected=True)}
    assert session.unreview_proposals(found) == len(found)
    assert len(session.proposals()) == len(found)


def test_a_rejection_is_told_to_who_shows_the_image(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    told: list[object] = []
    session.changes.subscribe(told.append)
    session.reject_proposals(found[:2])
    session.unreview_proposals(found[:2])
    assert told == [image.id] * 2


def test_a_proposal_of_another_picture_under_the_name_is_refused(session: Session) -> None:
    image = session.images()[0]
    found = session.segment_everything(image, **FEW)
    path = Path(image.path)
    Image.fromarray(scene([(20, 20, 40, GREEN)])).save(path)
    session.add(path, show=False)
    if session.image(image.id).pixel_hash == image.pixel_hash:
        pytest.fail("the picture was not replaced")
    with pytest.raises(ImageChanged):
        session.accept_proposals(found[0], category="square")
    assert session.annotations() == []


def test_each_image_of_a_picture_has_its_own_offers(session: Session) -> None:
    first = session.images()[0]
    session.add(Path(first.path), dataset="again", show=False)
    found = session.segment_everything(first, **FEW)
    assert sorted((one.id, one.dataset) for one in session.proposals()) == sorted(
        (one.id, dataset) for one in found for dataset in ("default", "again")
    )
    session.accept_proposals(found, category="square")
    assert {one.dataset for one in session.proposals()} == {"again"}
    session.accept_proposals(session.proposals(), category="square")
    assert len(session.annotations()) == 2 * len(found)


def test_queries_are_kept_apart(session: Session) -> None:
    image = session.images()[0]
    few, more = Everything(points_per_side=4, pred_iou_thresh=0.85), Everything(points_per_side=8, pred_iou_thresh=0.85)
    assert query_key(few) != query_key(more)
    for query in (few, more):
        list(session.propose_stream(query, images=[image]))
    assert {one.search for one in session.proposals(query=few)} == {query_key(few)}
    assert session.proposals(kind="like") == []
    assert session.forget_proposals(query=few) == 1
    assert {one.search for one in session.proposals()} == {query_key(more)}


@pytest.mark.parametrize("category", ["", "  ", None])
def test_a_category_is_needed(session: Session, category: Any) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    with pytest.raises(PromptError, match="category"):
        session.accept_proposals(found, category=category)
    assert session.annotations() == []


def test_an_unknown_dataset_is_named(session: Session) -> None:
    with pytest.raises(UnknownName, match="mondays"):
        session.proposals("mondays")


def test_a_table_and_a_card(session: Session) -> None:
    found = session.segment_everything(session.images()[0], **FEW)
    table = found.to_dataframe()
    assert list(table["kind"]) == ["everything"] * len(found)
    assert session.images()[0].filename in found._repr_html_()


@pytest.mark.slow
def test_kills_and_two_processes_double_nothing(session: Session) -> None:
    """A search that is killed twice, then two at once: every picture is there once, with what one run finds."""
    pictures = [scene([(10 * (n % 12), 10 * (n // 12), 30, RED)]) for n in range(40)]
    session.add(pictures, dataset="many", show=False)
    session.prewarm(show=False).wait()
    query = session.everything(**FEW)
    for lines_until_kill in (5, 9):
        with child(session.folder, lines_until_kill) as process:
            assert process.stdout is not None
            for _ in range(lines_until_kill):
                process.stdout.readline()
            process.kill()
    done = session.catalog.searched(session.model.fingerprint, query_key(query))
    assert 5 <= len(done) < 43
    with child(session.folder) as one, child(session.folder) as other:
        for process in (one, other):
            process.communicate(timeout=300)
            assert process.returncode == 0
    connection = sqlite3.connect(session.folder / "catalog.db")
    searches = connection.execute("SELECT count(*), count(DISTINCT pixel_hash) FROM searches").fetchone()
    kept = connection.execute("SELECT pixel_hash, rle FROM proposals ORDER BY id").fetchall()
    connection.close()
    assert searches == (43, 43)
    assert len(kept) == len(set(kept))
    before = {(one.pixel_hash, str(one.rle)) for one in session.proposals()}
    session.forget_proposals()
    list(session.propose_stream(query))
    assert {(one.pixel_hash, str(one.rle)) for one in session.proposals()} == before


def child(folder: Path, *events: int) -> subprocess.Popen[str]:
    command = [sys.executable, CHILD, folder, *map(str, events)]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)


def test_a_cancelled_search_ends_within_its_image(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    control = JobControl()
    plain = NumpyModel.decode

    def decode(self: NumpyModel, embedding: Any, prompt: Any, **options: Any) -> Any:
        decoded.append(prompt)
        if len(decoded) == 6:
            control.cancel()
        return plain(self, embedding, prompt, **options)

    monkeypatch.setattr(NumpyModel, "decode", decode)
    query = session.everything(**FEW, points_per_batch=3)
    events = list(session._proposals._events(query, session.images(), control))
    assert [event.status for event in events] == ["done"]
    assert events[-1].get("cancelled")
    assert len(decoded) == 6
    assert session.proposals() == []
    assert session.catalog.searched("numpy-0", query_key(query)) == set()


def test_nothing_is_searched_where_nothing_can_be_kept(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    list(session.segment_everything_stream(**FEW))
    monkeypatch.setattr(session.catalog._database, "newer", "9999")
    monkeypatch.setattr(NumpyModel, "decode", lambda *args, **options: pytest.fail("searched"))
    assert len(session.segment_everything(session.images()[0], **FEW)) == 3  # what is kept is read
    with pytest.raises(SessionTooNew):
        list(session.segment_everything_stream(points_per_side=4))
