"""Objects that are copied to other images of a stack, or to any of the same size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samnb.errors import ImageUnreadable
from samnb.session import Session


def test_objects_are_copied_to_images_that_were_not_read_yet(tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    Image.new("RGB", (80, 60)).save(later / "fine.png")
    (later / "damaged.png").write_bytes(b"no picture")
    with Session(tmp_path / "session") as session:
        [image] = session.add(np.ones((60, 80, 3), np.uint8), show=False).images
        session.accept_mask(image, np.ones((60, 80), bool), category="coin")
        session.add(later, hash="later", show=False)
        with pytest.raises(ImageUnreadable):
            session.copy_through(image, ["fine.png", "damaged.png"])
        assert len(session.annotations()) == 1
        assert [copy.image for copy in session.copy_through(image, "fine.png")] == ["fine.png"]
