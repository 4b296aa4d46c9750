import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from samnb import cli


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
