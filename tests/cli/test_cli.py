import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from samnb import Session, cli
from samnb.cli.terminal import LogFormatter


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 50, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def test_from_pictures_to_an_export(tmp_path, pictures, capsys):
    session = str(tmp_path / "session")
    assert cli.main(["add", session, str(pictures), "--dataset", "monday"]) == 0
    assert "2 images in 'monday'" in capsys.readouterr().out
    assert cli.main(["prewarm", session]) == 0
    assert "Dataset ready (cache: 2 embeddings, computed: 2, skipped: 0)" in capsys.readouterr().out
    assert cli.main(["prewarm", session]) == 0
    assert "computed: 0, skipped: 2" in capsys.readouterr().out
    assert cli.main(["status", session]) == 0
    assert "2 of 2 (100 %)" in capsys.readouterr().out
    assert cli.main(["export", session, "coco", str(tmp_path / "out.json")]) == 0
    assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == 2


def test_from_one_session_into_another(tmp_path, pictures, capsys):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    for session in (one, two):
        cli.main(["add", session, str(pictures / "0.png")])
    with Session(one) as opened:
        opened.accept_mask("0.png", np.eye(40, 50, dtype=bool), category="line")
        opened.accept_mask("0.png", np.ones((40, 50), bool), category="all")
    options = ["--set", "objects=false", "--set", "labels=object"]
    assert cli.main(["export", one, "masks", str(tmp_path / "m"), *options]) == 0
    assert not list((tmp_path / "m").glob("*.png"))
    place = str(tmp_path / "a.json")
    assert cli.main(["export", one, "coco", place, "--set", "polygons=true"]) == 0
    assert isinstance(json.loads((tmp_path / "a.json").read_text())["annotations"][0]["segmentation"], list)
    capsys.readouterr()
    assert cli.main(["import", two, "coco", place]) == 0
    assert capsys.readouterr().out == "2 annotations from a.json on 1 image\n"
    assert cli.main(["import", two, "coco", place, "--images", str(pictures)]) == 0
    assert "0 annotations from a.json on 1 image · 2 there already" in capsys.readouterr().out
    assert cli.main(["import", two, "cocoo", place]) == 1
    assert "Did you mean 'coco'" in capsys.readouterr().err
    assert cli.main(["export", one, "coco", place, "--set", "polygon=true"]) == 1
    assert "polygons" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["export", one, "coco", place, "--set", "polygons"])
    assert "expected NAME=VALUE" in capsys.readouterr().err


def test_errors_are_one_line_and_status_1(tmp_path, capsys):
    assert cli.main(["add", str(tmp_path / "s"), str(tmp_path / "nowhere")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("samnb: ")
    assert "nowhere" in told
    assert "Traceback" not in told


def test_a_failing_image_is_named_and_the_status_is_1(tmp_path, pictures, capsys):
    session = str(tmp_path / "session")
    cli.main(["add", session, str(pictures)])
    (pictures / "1.png").unlink()
    assert cli.main(["prewarm", session]) == 1
    told = capsys.readouterr()
    assert "1.png" in told.err
    assert "failed: 1" in told.out


def test_only_add_makes_a_session(tmp_path, capsys):
    for command in (["status"], ["prewarm"], ["export"]):
        more = ["coco", str(tmp_path / "out.json")] if command == ["export"] else []
        assert cli.main([*command, str(tmp_path / "typo"), *more]) == 1
        assert "samnb add" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_models_lists_the_registry(capsys):
    assert cli.main(["models"]) == 0
    told = capsys.readouterr().out
    assert "ships with samnb" in told
    assert "sam_vit_b_01ec64.pth" in told


def test_help_answers_without_loading_torch():
    code = (
        "import sys; from samnb.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "prewarm" in told
    assert told.strip().endswith("False")


# -- evaluate -------------------------------------------------------------------------------------


@pytest.fixture
def discs(tmp_path):
    """Two pictures of one bright disc each, with their masks beside them in another folder."""
    y, x = np.ogrid[:90, :120]
    for number, (cx, cy) in enumerate(((40, 40), (70, 50))):
        mask = (x - cx) ** 2 + (y - cy) ** 2 < 20**2
        pixels = np.where(mask[..., None], np.uint8(210), np.uint8(50)).repeat(3, axis=2)
        for folder, picture in (("discs", pixels), ("masks", mask.astype(np.uint8) * np.uint8(255))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).save(tmp_path / folder / f"{number}.png")
    return tmp_path


def test_evaluate_on_mask_pictures_with_a_baseline_and_json(discs, capsys):
    command = ["evaluate", "--masks", str(discs / "masks"), "--images", str(discs / "discs")]
    assert cli.main([*command, "--baselines", "flood_fill", "--json", str(discs / "new" / "figures.json")]) == 0
    told = capsys.readouterr().out
    assert "tiny on cpu · 2 cases on 2 images" in told
    figures = json.loads((discs / "new" / "figures.json").read_text())
    assert figures["overall"]["iou_1"] > 0.8
    assert figures["baselines"][0]["overall"]["iou_1"] > 0.95
    assert [row["image"] for row in figures["cases"]] == ["0.png", "1.png"]


def test_evaluate_on_a_coco_file_and_on_the_session_it_came_from(discs, capsys):
    from samnb.session import Session

    with Session(discs / "session") as session:
        session.add(discs / "discs")
        session.accept(session.predict("0.png", points=[(40, 40)]), category="disc")
        session.export("coco", discs / "discs.json")
    command = ["evaluate", "--coco", str(discs / "discs.json"), "--images", str(discs / "discs")]
    assert cli.main([*command, "--max-clicks", "1", "--category", "disc"]) == 0
    assert "1 case on 1 image · at most 1 click" in capsys.readouterr().out
    assert cli.main(["evaluate", str(discs / "session"), "--max-clicks", "1"]) == 0
    assert "1 of 1 mask began as answers of this very model" in capsys.readouterr().out


def test_evaluate_names_what_it_could_not_use_and_goes_on(discs, capsys):
    (discs / "masks" / "1.png").write_bytes(b"torn")
    assert cli.main(["evaluate", "--masks", str(discs / "masks"), "--images", str(discs / "discs")]) == 0
    told = capsys.readouterr().out
    assert "1 case on 1 image" in told
    assert "1.png" in told
    (discs / "masks" / "0.png").write_bytes(b"torn")
    assert cli.main(["evaluate", "--masks", str(discs / "masks"), "--images", str(discs / "discs")]) == 1


def test_evaluate_without_anything_to_measure_is_an_error(tmp_path, pictures, capsys):
    session = str(tmp_path / "session")
    cli.main(["add", session, str(pictures)])
    assert cli.main(["evaluate", session]) == 1
    assert "no mask to measure a model on" in capsys.readouterr().err
    assert cli.main(["evaluate", "--masks", str(pictures)]) == 1
    assert cli.main(["evaluate", session, "--baselines", "grab"]) == 1
    assert "Did you mean 'grabcut'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["s", "--masks", "m"], ["--coco", "c.json"], ["s", "--images", "i"]])
def test_evaluate_wants_exactly_one_source(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate", *arguments])
    assert stop.value.code == 2
    assert "expected one of: SESSION [--dataset NAME], --coco FILE --images DIR" in capsys.readouterr().err


# -- models ---------------------------------------------------------------------------------------


def test_models_tells_size_licence_and_what_is_installed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
    (tmp_path / "sam_vit_l_0b3195.pth").touch()
    cli.main(["models"])
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line and line[0] != " "}
    assert "Apache-2.0" in told["tiny"]
    assert "375 MB" in told["vit_b"]
    assert told["vit_b"].endswith("not installed")
    assert told["vit_l"].split()[-2:] == ["sam_vit_l_0b3195.pth", "installed"]


def test_models_shows_the_card_of_one(capsys):
    cli.main(["models", "tiny"])
    assert "## Where it fails" in capsys.readouterr().out
    cli.main(["models", "vit_b"])
    told = capsys.readouterr().out
    assert "licence: Apache-2.0" in told
    assert "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912" in told
    assert cli.main(["models", "vit_x"]) == 1
    assert "Did you mean" in capsys.readouterr().err


def test_no_name_of_a_file_is_acted_on_by_a_terminal(tmp_path, capsys):
    evil, red = "\x1b]0;title\x07\x1b[2K0 failed\x1b[8m.png", "\x1b[31mred\r\nfake line\u202e.png"
    (tmp_path / evil).write_bytes(b"no picture")
    for name in (red, "a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    session = str(tmp_path / "s")
    for arguments in (
        ["add", session, str(tmp_path)],
        ["duplicates", session],
        ["duplicates", "--near", session],
        ["status", session],
        ["hash", str(tmp_path / evil), str(tmp_path / red)],
        ["export", session, "coco", str(tmp_path / "\x1b[31m.json")],
        ["prewarm", session],
    ):
        cli.main(arguments)
        said = capsys.readouterr()
        found = said.out + said.err
        assert not [letter for letter in found if not letter.isprintable() and letter not in "\n\t"], arguments
        assert not any(line.startswith("fake line") for line in found.splitlines()), arguments


def test_a_warning_of_the_log_is_not_acted_on_by_a_terminal():
    record = logging.makeLogRecord({"msg": "%s is damaged", "args": ("\x1b[31mred",)})
    assert LogFormatter("%(message)s").format(record) == "\\x1b[31mred is damaged"


def test_a_reader_that_has_seen_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "samnb.cli", "settings"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
