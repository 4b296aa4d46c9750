"""OME-Zarr folders that lie about their size."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from samnb.errors import ImageUnreadable
from samnb.images.lazy import open_source


def test_chunks_of_gigabytes_are_refused_before_one_is_decoded(tmp_path: Path) -> None:
    array = zarr.create_array(tmp_path / "a.zarr", shape=(60_000, 60_000), chunks=(50_000, 50_000), dtype=np.uint16)
    del array
    with pytest.raises(ImageUnreadable, match=r"chunks of \(50000, 50000\), 5,000,000,000 bytes.*512 x 512"):
        open_source(tmp_path / "a.zarr")


def test_channels_by_the_billion_are_refused_before_a_list_of_them_is_made(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("0", shape=(2**40, 8, 8), chunks=(1, 8, 8), dtype=np.uint8)
    scale = {"type": "scale", "scale": [1, 1, 1]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    axes = [{"name": name} for name in "cyx"]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    with pytest.raises(ImageUnreadable, match="1,099,511,627,776 channels, more than the limit of 4,096"):
        open_source(tmp_path / "a.zarr")


def test_a_shard_may_be_large_since_its_chunks_are_read_alone(tmp_path: Path) -> None:
    options = {"shape": (60_000, 60_000), "chunks": (500, 500), "shards": (30_000, 30_000), "dtype": np.uint16}
    zarr.create_array(tmp_path / "a.zarr", **options)
    with open_source(tmp_path / "a.zarr") as source:
        assert not source.read(region=(100, 100, 20, 30)).any()
