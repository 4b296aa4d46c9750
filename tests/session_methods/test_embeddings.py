"""What a session says of embeddings of parts of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from samnb.errors import PromptError
from samnb.images import encode_png
from samnb.session import Session


@pytest.mark.parametrize("region", [(0, 0, 2000, 100), (5, 5, 5, 9), (-5, 0, 5, 9)])
@pytest.mark.parametrize("above", [1_000, 10_000_000])
def test_a_region_that_is_not_in_the_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, above: int, region: tuple[int, int, int, int]
) -> None:
    monkeypatch.setenv("SAMNB_TILED_ABOVE", str(above))
    with Session(tmp_path / "session") as session:
        session.add(np.zeros((120, 160, 3), np.uint8), show=False)
        [image] = session.images()
        with pytest.raises(PromptError, match="region: expected 0 <= x0 < x1 <= 160"):
            session.is_cached(image, region=region)
        assert not session.is_cached(image, region=(0, 0, 160, 120))


def test_no_region_of_an_image_that_was_not_read_is_cached(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encode_png(np.zeros((120, 160, 3), np.uint8)))
    with Session(tmp_path / "session") as session:
        session.add(file, hash="later", show=False)
        assert not session.is_cached("a.png", region=(0, 0, 160, 120))
