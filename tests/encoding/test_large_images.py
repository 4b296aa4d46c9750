"""Large images that are open to be read in parts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

import samnb
from samnb.encoding.large_images import LargeImages
from samnb.errors import ImageChanged


def test_a_file_of_another_size_is_refused_every_time(tmp_path: Path) -> None:
    file = tmp_path / "a.tif"
    tifffile.imwrite(file, np.zeros((40, 60), np.uint8), tile=(16, 16))
    with samnb.Session(tmp_path / "s") as session:
        session.add(file, show=False)
        image = replace(session.images()[0], width=80)
    large = LargeImages()
    for _ in range(2):
        with pytest.raises(ImageChanged):
            large.open(image)
