"""The pictures of the evaluation set: where each lies in an installed package, whose it is, and its licence.

"None stated" means that the package says nothing beyond its own licence. `nuclei` and those of `everyday.py` are stored
here; the others are read where they are installed.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.evaluation_set.everyday import CREDITS

HERE = Path(__file__).parent

Pixels = npt.NDArray[np.uint8]

_SKIMAGE, _SKLEARN, _MATPLOTLIB = "skimage/data", "sklearn/datasets/images", "matplotlib/mpl-data/sample_data"

# name: (package folder or "" for this one, file, credit, licence)
PICTURES = {
    "astronaut": (_SKIMAGE, "astronaut.png", "NASA: Eileen Collins", "public domain"),
    "brick": (_SKIMAGE, "brick.png", "cc0textures.com, Bricks25", "CC0"),
    "camera": (_SKIMAGE, "camera.png", "Lav Varshney", "CC0"),
    "cell": (_SKIMAGE, "cell.png", "cell in saline, from the qpformat data", "CC0"),
    "chelsea": (_SKIMAGE, "chelsea.png", "Stefan van der Walt", "CC0"),
    "china": (_SKLEARN, "china.jpg", "danielbuechele, flickr.com", "CC BY 2.0"),
    "clock_motion": (_SKIMAGE, "clock_motion.png", "Stefan van der Walt", "public domain"),
    "coffee": (_SKIMAGE, "coffee.png", "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    "coins": (_SKIMAGE, "coins.png", "Brooklyn Museum: Greek coins from Pompeii", "no known restrictions"),
    "flower": (_SKLEARN, "flower.jpg", "vultilion, flickr.com", "CC BY 2.0"),
    "grace_hopper": (_MATPLOTLIB, "grace_hopper.jpg", "James S. Davis, US Navy: Grace Hopper", "public domain"),
    "grass": (_SKIMAGE, "grass.png", "linolafett, DeviantArt", "CC0"),
    "gravel": (_SKIMAGE, "gravel.png", "cc0textures.com, Gravel04", "CC0"),
    "horse": (_SKIMAGE, "horse.png", "Andreas Preuss (marauder), openclipart.org", "CC0"),
    "hubble_deep_field": (_SKIMAGE, "hubble_deep_field.jpg", "NASA, Hubble eXtreme Deep Field", "public domain"),
    "ihc": (_SKIMAGE, "ihc.png", "Center for Microscopy and Molecular Imaging, Gosselies", "no known restrictions"),
    "moon": (_SKIMAGE, "moon.png", "the moon, as packaged in scikit-image", "none stated"),
    "motorcycle_left": (_SKIMAGE, "motorcycle_left.png", "Middlebury stereo 2014, Scharstein et al.", "none stated"),
    "nuclei": ("", "labels/nuclei.png", "2018 Data Science Bowl, Broad Institute BBBC038v1", "CC0"),
    "page": (_SKIMAGE, "page.png", "scanned page, as packaged in scikit-image", "none stated"),
    "phantom": (_SKIMAGE, "phantom.png", "Shepp and Logan 1974", "none stated"),
    "retina": (_SKIMAGE, "retina.jpg", "Mikael Häggström, Wikimedia Commons", "CC0"),
    "rocket": (_SKIMAGE, "rocket.jpg", "SpaceX: DSCOVR on Falcon 9", "public domain"),
    "text": (_SKIMAGE, "text.png", "Wikipedia, Corner.png", "public domain"),
    **{name: ("", f"everyday/{name}.jpg", credit.author, credit.licence) for name, credit in CREDITS.items()},
}


@lru_cache
def read_picture(name: str) -> Pixels:
    """Return a picture by its name in `PICTURES`.

    Returns
    -------
    numpy.ndarray
        (H, W, 3) uint8 RGB, read-only: cases share it.

    Raises
    ------
    KeyError
        No picture of that name.
    """
    folder, file, _, _ = PICTURES[name]
    package, _, inside = folder.partition("/")
    source = files(package).joinpath(*inside.split("/"), file) if folder else HERE / file
    with as_file(source) as path, Image.open(path) as opened:  # type: ignore[arg-type]
        pixels = np.array(opened.convert("RGB"))
    pixels.flags.writeable = False
    return pixels
