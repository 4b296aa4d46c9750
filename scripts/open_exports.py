"""Exports opened by napari and by the rules of QuPath: do they find the pixels that samnb has?

    .venv/bin/python scripts/open_exports.py make build/exports        # in samnb's environment
    python -m venv build/napari
    build/napari/bin/pip install napari napari-ome-zarr shapely
    PYTHONPATH=. build/napari/bin/python scripts/open_exports.py check build/exports

`make` writes a 16-bit stack of scikit-image's `cell`, annotates it, and exports it as label TIFF, as OME-Zarr 0.4 and
0.5 with its pictures, and as GeoJSON, beside the labels and pixels that are expected. `check` opens each in napari,
whose plugins are not those that wrote it, and compares every pixel.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

import numpy as np

SLICES = 12


def make(folder: Path) -> None:
    """The exports, and ``expected.npz``."""
    import tifffile
    from skimage import data

    import samnb

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cell = data.cell()[200:440, 150:430].astype(np.uint16) * 16
    values = np.stack([np.roll(cell, 2 * z, axis=1) for z in range(SLICES)])
    about = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(folder / "plate.tif", values, imagej=True, resolution=(2, 4), metadata=about)
    rows, columns = np.mgrid[: cell.shape[0], : cell.shape[1]]
    with samnb.Session(folder / "session") as session:
        session.add(folder / "plate.tif", stack="z", show=False)
        ring = np.abs(np.hypot(columns - 90, rows - 90) - 30) < 8  # with a hole
        session.accept_mask("plate.tif[z=0]", ring, category="membrane")
        session.accept_mask("plate.tif[z=0]", np.hypot(columns - 200, rows - 150) < 25, category="nucleus")
        session.copy_through("plate.tif[z=0]")
        session.export("tiff", folder / "tiff")
        for version in ("0.4", "0.5"):
            session.export("zarr", folder / f"zarr-{version}", version=version, pictures=True)
        session.export("geojson", folder / "geojson")
        labels, number = np.zeros(values.shape, np.uint16), 0
        pixels = np.stack([session.pixels(f"plate.tif[z={z}]") for z in range(SLICES)])
        for z in range(SLICES):
            for annotation in session.annotations(image=f"plate.tif[z={z}]"):
                number += 1
                labels[z][annotation.mask] = number
        np.savez_compressed(folder / "expected.npz", labels=labels, pixels=pixels)


def check(folder: Path) -> None:
    """Open all of them; an AssertionError says what differs."""
    import napari
    from napari.components import ViewerModel
    from napari.plugins import _initialize_plugins

    from tests.support import qupath

    expected = np.load(folder / "expected.npz")
    labels, pixels = expected["labels"], expected["pixels"]
    _initialize_plugins()  # as its window does, which needs OpenGL
    viewer = ViewerModel()
    print(f"napari {napari.__version__}")
    [layer] = viewer.open(folder / "tiff" / "plate.tif", layer_type="labels")
    _same("label TIFF", layer.data, labels)
    for version in ("0.4", "0.5"):
        viewer.layers.clear()
        layers = viewer.open(folder / f"zarr-{version}" / "plate.zarr", plugin="napari-ome-zarr")
        found: dict[str, Any] = {type(one).__name__: one for one in layers}
        print(f"OME-Zarr {version}:", [(one.name, type(one).__name__, one.data[0].shape, one.scale) for one in layers])
        _same(f"OME-Zarr {version}, labels", found["Labels"].data[0], labels)
        assert np.allclose(found["Labels"].scale[-3:], (2.0, 0.25, 0.5))
        shown = [one for one in layers if type(one).__name__ == "Image"]
        channels = [np.asarray(one.data[0]) for one in shown]
        _same(f"OME-Zarr {version}, pixels", np.stack(channels, axis=-1), pixels)
    filled = np.zeros_like(labels)
    for number, one in enumerate(qupath.read(folder / "geojson" / "plate.geojson"), start=1):
        filled[one.plane[0]][one.mask(labels.shape[1:])] = number
    _same("GeoJSON, filled as QuPath does", filled, labels)


def _same(what: str, found: Any, expected: np.ndarray) -> None:
    found = np.asarray(found)
    assert found.shape == expected.shape, f"{what}: {found.shape}, expected {expected.shape}"
    wrong = int(np.count_nonzero(found != expected))
    assert not wrong, f"{what}: {wrong:,} of {expected.size:,} values differ"
    print(f"{what}: {expected.size:,} values are the same")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["make", "check"])
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    (make if given.what == "make" else check)(given.folder)
