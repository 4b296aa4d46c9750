"""Weight files: found, told apart, and never executed."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import pickle
import struct
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samnb.errors import CheckpointDamaged, CheckpointMismatch, CheckpointMissing
from samnb.models import REGISTRY, ModelInfo, installed, load_model
from samnb.models.weights import file_hashes
from samnb.models.weights.checkpoints import checkpoint_folders, find_checkpoint, looks_like, open_checkpoint
from samnb.prompts import Embedding, Prompt

VIT_B = REGISTRY["vit_b"].info
BLANK = Embedding({"image_embedding": np.zeros((256, 64, 64), np.float32)}, (10, 10), (1024, 1024))
CLICK = Prompt.of(points=[(5, 5)])


def sam_names(depth: int) -> list[str]:
    return [f"image_encoder.blocks.{block}.norm1.weight" for block in range(depth)]


def save(path: Path, names: list[str], *, legacy: bool = False, **more: Any) -> Path:
    import torch

    state = {name: torch.zeros(2) for name in names} | more
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path


class Marker:
    """Pickles as a call that makes a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (str(self.folder),)


class TestFinding:
    @pytest.mark.parametrize("name", ["a" * 300, "a\0b.pth", "~nobody-of-that-name/a.pth"])
    @pytest.mark.parametrize("model", ["vit_b", "sam2.1_hiera_tiny"])
    def test_a_path_that_cannot_be_looked_at_is_missing(
        self, model: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info = REGISTRY[model].info
        for checkpoint in (name, tmp_path / name):
            with pytest.raises(CheckpointMissing, match=f"for '{model}'"):
                find_checkpoint(info, checkpoint)
        monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path / ("a" * 300)))
        assert installed(info) is None

    def test_a_missing_published_file_is_named_to_the_byte(self) -> None:
        with pytest.raises(CheckpointMissing) as caught:
            load_model("vit_b")
        message = str(caught.value)
        for part in (VIT_B.file_name, "375042383", VIT_B.sha256, str(checkpoint_folders()[0]), "Session(checkpoint="):
            assert str(part) in message

    def test_a_given_path_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match=r"nowhere\.pth.*is not there"):
            load_model("vit_b", checkpoint=tmp_path / "nowhere.pth")
        with pytest.raises(CheckpointMissing, match="is a folder"):
            load_model("vit_b", checkpoint=tmp_path)

    def test_the_named_folder_comes_before_the_users_own(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = checkpoint_folders()[-1]
        assert own.parts[-2:] == ("samnb", "checkpoints")
        monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
        (tmp_path / VIT_B.file_name).write_bytes(b"here")
        assert find_checkpoint(VIT_B) == tmp_path / VIT_B.file_name
        assert checkpoint_folders() == [tmp_path, own]

    def test_bundled_weights_are_not_looked_for_elsewhere(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        info = dataclasses.replace(REGISTRY["tiny"].info, file_name="other.safetensors")
        monkeypatch.setenv("SAMNB_CHECKPOINTS", str(tmp_path))
        (tmp_path / "other.safetensors").write_bytes(b"")
        with pytest.raises(CheckpointMissing, match="reinstall samnb"):
            find_checkpoint(info)


class TestTellingApart:
    @pytest.mark.parametrize(("depth", "found"), [(24, "vit_l"), (32, "vit_h")])
    def test_another_size(self, depth: int, found: str, tmp_path: Path) -> None:
        path = save(tmp_path / "sam.pth", sam_names(depth))
        with pytest.raises(CheckpointMismatch, match=f"this looks like {found}, expected vit_b"):
            load_model("vit_b", checkpoint=path)

    @pytest.mark.parametrize(
        ("name", "found"),
        [
            ("image_encoder.trunk.blocks.0.norm1.weight", "SAM 2 as Meta published it"),
            ("image_encoder.layers.0.blocks.0.conv1.c.weight", "mobile_sam"),
            ("mask_decoder.hf_token.weight", "SAM-HQ as its authors published it"),
            ("vision_encoder.layers.0.attn.qkv.weight", "a transformers model"),
        ],
    )
    def test_another_family(self, name: str, found: str, tmp_path: Path) -> None:
        path = save(tmp_path / "sam.pth", [*sam_names(12), name])
        with pytest.raises(CheckpointMismatch, match=f"looks like {found}, expected vit_b"):
            load_model("vit_b", checkpoint=path)

    def test_sam_weights_for_the_embedded_model(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointMismatch, match="looks like vit_b, expected tiny"):
            load_model("tiny", checkpoint=save(tmp_path / "sam.pth", sam_names(12)))

    def test_some_other_net(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointMismatch, match="fit no model"):
            load_model("vit_b", checkpoint=save(tmp_path / "resnet.pth", ["conv1.weight"]))

    def test_a_whole_file_passes(self, tmp_path: Path) -> None:
        path = save(tmp_path / "sam.pth", sam_names(12))
        weights = open_checkpoint(VIT_B, path)
        assert weights.sha256 == sha256(path.read_bytes()).hexdigest()
        assert set(weights.read()) == set(sam_names(12))

    @pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>", b"\x89PNG\r\n\x1a\n" + bytes(99), b"notes", b"{}"])
    def test_not_a_weight_file_at_all(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "sam_vit_b_01ec64.pth"
        path.write_bytes(content)
        with pytest.raises(CheckpointMismatch, match=r"is not a weight file.*375042383"):
            load_model("vit_b", checkpoint=path)

    def test_a_zip_file_of_something_else(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "thesis.docx", "w") as archive:
            archive.writestr("word/document.xml", "<xml/>")
        with pytest.raises(CheckpointMismatch, match="without torch weights"):
            load_model("vit_b", checkpoint=tmp_path / "thesis.docx")

    def test_names_tell_the_family(self) -> None:
        assert looks_like(sam_names(12)) == "vit_b"
        assert looks_like(["prompt_encoder.no_mask_embed.weight"]) is None


class TestDamage:
    @pytest.mark.parametrize("kept", [3, 200, -1])
    def test_truncated(self, kept: int, tmp_path: Path) -> None:
        whole = save(tmp_path / "sam.pth", sam_names(12)).read_bytes()
        path = tmp_path / "cut.pth"
        path.write_bytes(whole[:kept])
        size = len(whole[:kept])
        with pytest.raises(CheckpointDamaged, match=f"got {size} bytes, expected 375042383"):
            load_model("vit_b", checkpoint=path)

    def test_empty(self, tmp_path: Path) -> None:
        (tmp_path / "sam.pth").touch()
        with pytest.raises(CheckpointDamaged, match="0 bytes"):
            load_model("vit_b", checkpoint=tmp_path / "sam.pth")

    def test_altered_names(self, tmp_path: Path) -> None:
        path = save(tmp_path / "sam.pth", sam_names(12))
        content = bytearray(path.read_bytes())
        content[content.index(b"image_encoder.blocks.7")] ^= 1
        path.write_bytes(content)
        with pytest.raises(CheckpointDamaged, match="CRC"):
            load_model("vit_b", checkpoint=path)

    def test_the_published_name_and_size_with_another_content(self, tmp_path: Path) -> None:
        path = save(tmp_path / VIT_B.file_name, sam_names(12))
        info = dataclasses.replace(VIT_B, size_bytes=path.stat().st_size)
        with pytest.raises(CheckpointDamaged, match=f"{VIT_B.sha256}.*altered"):
            open_checkpoint(info, path)
        path = path.rename(tmp_path / "mine.pth")
        assert open_checkpoint(info, path).path == path

    def test_safetensors_cut_short_or_garbled(self, tmp_path: Path) -> None:
        from safetensors.numpy import save_file

        path = tmp_path / "sam.safetensors"
        save_file({name: np.zeros(2, np.float32) for name in sam_names(12)}, path)
        assert len(open_checkpoint(VIT_B, path).read()) == 12
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        with pytest.raises(CheckpointDamaged, match=f"got {len(whole) - 3} bytes, its header says {len(whole)}"):
            open_checkpoint(VIT_B, path)
        for garbled in (struct.pack("<Q", 4) + b"[1,]", b"\xff" * 20, b"\1", struct.pack("<Q", 2) + b"{}"):
            path.write_bytes(garbled)
            with pytest.raises(CheckpointDamaged, match="header"):
                open_checkpoint(VIT_B, path)


class TestLoading:
    """What only shows when the tensors are read; opening such a file is fine."""

    def test_a_legacy_file_of_another_size(self, tmp_path: Path) -> None:
        model = load_model("vit_b", checkpoint=save(tmp_path / "old.pth", sam_names(32), legacy=True))
        with pytest.raises(CheckpointMismatch, match="looks like vit_h, expected vit_b"):
            model.decode(BLANK, CLICK)

    def test_a_truncated_legacy_file(self, tmp_path: Path) -> None:
        path = save(tmp_path / "old.pth", sam_names(12), legacy=True)
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises((CheckpointDamaged, CheckpointMismatch), match=r"old\.pth"):
            load_model("vit_b", checkpoint=path).decode(BLANK, CLICK)

    def test_keys_and_shapes_that_do_not_fit_are_listed(self, tmp_path: Path) -> None:
        names = [*sam_names(12), "prompt_encoder.no_mask_embed.weight", "prompt_encoder.surprise"]
        model = load_model("vit_b", checkpoint=save(tmp_path / "sam.pth", names))
        with pytest.raises(CheckpointMismatch) as caught:
            model.decode(BLANK, CLICK)
        for part in (
            "missing",
            "unexpected (prompt_encoder.surprise)",
            "no_mask_embed.weight is (2,), expected (1, 256)",
        ):
            assert part in str(caught.value)

    def test_a_nested_file(self, tmp_path: Path) -> None:
        import torch

        torch.save({"model": {name: torch.zeros(1) for name in sam_names(12)}}, tmp_path / "nested.pth")
        with pytest.raises(CheckpointMismatch, match="plain state dict"):
            load_model("vit_b", checkpoint=tmp_path / "nested.pth").decode(BLANK, CLICK)

    @pytest.mark.parametrize("legacy", [False, True])
    def test_code_in_a_pickle_is_refused_and_not_run(self, legacy: bool, tmp_path: Path) -> None:
        marker = tmp_path / "it ran"
        path = save(tmp_path / "evil.pth", sam_names(12), legacy=legacy, payload=Marker(marker))
        model = load_model("vit_b", checkpoint=path)
        with pytest.raises(CheckpointMismatch, match="refused"):
            model.decode(BLANK, CLICK)
        assert not marker.exists()
        pickle.loads(pickle.dumps(Marker(marker)))  # freely unpickled it does run
        assert marker.exists()

    def test_a_bare_pickle_is_not_even_opened(self, tmp_path: Path) -> None:
        marker = tmp_path / "it ran"
        (tmp_path / "bare.pth").write_bytes(pickle.dumps(Marker(marker)))
        with pytest.raises(CheckpointMismatch, match="not a weight file"):
            load_model("vit_b", checkpoint=tmp_path / "bare.pth")
        assert not marker.exists()


class TestHashing:
    @pytest.fixture
    def weights(self, tmp_path: Path) -> Path:
        return save(tmp_path / "sam.pth", sam_names(12))

    @pytest.fixture
    def hashed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """Names of the files that are really read for hashing."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(file_hashes, "_hashes", {})
        names: list[str] = []
        digest = file_hashes.file_digest

        def counting(file: io.BufferedReader, algorithm: str) -> Any:
            names.append(Path(file.name).name)
            return digest(file, algorithm)

        monkeypatch.setattr(file_hashes, "file_digest", counting)
        return names

    def fingerprint(self, path: Path) -> str:
        return load_model("vit_b", checkpoint=path).fingerprint

    def test_hashed_once_in_a_process_and_once_on_a_machine(
        self, weights: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = self.fingerprint(weights)
        assert first == self.fingerprint(weights) == f"sam-{sha256(weights.read_bytes()).hexdigest()}"
        monkeypatch.setattr(file_hashes, "_hashes", {})  # as another process would start
        assert self.fingerprint(weights) == first
        assert hashed == ["sam.pth"]

    def test_a_changed_file_is_hashed_again(self, weights: Path, hashed: list[str]) -> None:
        first = self.fingerprint(weights)
        save(weights, [*sam_names(12), "one.more"])
        assert self.fingerprint(weights) != first
        assert hashed == ["sam.pth", "sam.pth"]
        assert len(json.loads(file_hashes.memo_path().read_text())) == 1

    @pytest.mark.parametrize("memo", ["not json", "[]", '{"x": 1}'])
    def test_a_garbled_memo_is_only_a_miss(self, memo: str, weights: Path, hashed: list[str]) -> None:
        file_hashes.memo_path().parent.mkdir(parents=True)
        file_hashes.memo_path().write_text(memo)
        assert self.fingerprint(weights).endswith(sha256(weights.read_bytes()).hexdigest())
        assert hashed == ["sam.pth"]

    def test_a_memo_that_cannot_be_written_is_only_logged(
        self, weights: Path, hashed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "cache").write_text("a file where the folder should be")
        with caplog.at_level(logging.DEBUG, logger="samnb"):
            assert self.fingerprint(weights)
        assert "is not remembered" in caplog.text
        assert {record.levelname for record in caplog.records if "remembered" in record.message} == {"DEBUG"}


def test_model_info_is_a_value() -> None:
    assert dataclasses.replace(VIT_B) == VIT_B
    assert isinstance(VIT_B, ModelInfo)


def _zip_of_weights(compression: int = zipfile.ZIP_STORED) -> bytearray:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", compression) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({name: 0 for name in sam_names(12)}, 2))
    return bytearray(written.getvalue())


def test_a_zip_with_a_password_or_a_damaged_stream_is_damaged(tmp_path: Path) -> None:
    locked = _zip_of_weights()
    locked[6] |= 1
    locked[locked.rfind(b"PK\1\2") + 8] |= 1
    torn = _zip_of_weights(zipfile.ZIP_LZMA)
    torn[44] ^= 0xFF
    for number, content in enumerate((locked, torn)):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(content)
        with pytest.raises(CheckpointDamaged, match="truncated or damaged"):
            load_model("vit_b", checkpoint=path)


def test_odd_headers_of_safetensors_are_damage(tmp_path: Path) -> None:
    def written(name: str, header: dict[str, Any]) -> Path:
        text = json.dumps(header).encode()
        (tmp_path / name).write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
        return tmp_path / name

    with pytest.raises(CheckpointDamaged, match="its safetensors header cannot be read"):
        load_model("vit_b", checkpoint=written("a.safetensors", {"a": {"data_offsets": []}}))
    unknown = {name: {"dtype": "XX", "shape": [1], "data_offsets": [n, n + 1]} for n, name in enumerate(sam_names(12))}
    weights = open_checkpoint(VIT_B, written("b.safetensors", unknown))
    with pytest.raises(CheckpointDamaged, match="safetensors cannot read it"):
        weights.read()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading fails")
def test_a_file_that_the_disk_does_not_read_is_told() -> None:
    with pytest.raises(CheckpointDamaged, match=r"/proc/self/mem: cannot be read \(.*check permissions and disk"):
        load_model("vit_b", checkpoint="/proc/self/mem")
