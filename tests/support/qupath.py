"""GeoJSON read by the rules of QuPath's reader (its GsonTools): what breaks one of them is an AssertionError."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import shapely
import shapely.geometry

_TYPES = ("annotation", "detection", "cell", "tile", "tma_core", "root", "unknown")


class QuPathObject(NamedTuple):
    """One object as QuPath has it."""

    id: uuid.UUID
    kind: str
    name: str
    category: str
    color: tuple[int, int, int]
    plane: tuple[int, int]  # z, t
    measurements: dict[str, float]
    shape: Any

    def mask(self, size_hw: tuple[int, int]) -> np.ndarray:
        """(H, W) bool: the pixels whose middles are inside, as QuPath makes masks."""
        y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
        return shapely.contains_xy(self.shape, x, y)


def read(file: Path) -> Iterator[QuPathObject]:
    """The objects of a GeoJSON file."""
    document = json.loads(file.read_bytes(), parse_constant=lambda name: _fail(f"{name} is no JSON"))
    assert document["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert feature["type"] == "Feature"
        geometry, properties = feature["geometry"], feature["properties"]
        parts = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}[geometry["type"]]
        for ring in (ring for part in parts for ring in part):
            assert len(ring) >= 4, "a ring has three corners, and the first again"
            assert ring[0] == ring[-1], "a ring is closed"
        shape = shapely.geometry.shape({"type": geometry["type"], "coordinates": geometry["coordinates"]})
        assert shape.is_valid, shapely.is_valid_reason(shape)
        plane = geometry.get("plane", {})
        assert all(type(value) is int for value in plane.values())
        kind = properties["objectType"]
        assert kind in _TYPES
        category = properties["classification"]
        color = tuple(category["color"])
        assert len(color) == 3
        assert all(type(value) is int and 0 <= value <= 255 for value in color)
        assert type(properties["isLocked"]) is bool
        measurements = properties["measurements"]
        assert all(type(name) is str and type(value) is float for name, value in measurements.items())
        assert all(type(value) is str for value in properties.get("metadata", {}).values())
        yield QuPathObject(
            uuid.UUID(feature["id"]),
            kind,
            str(properties["name"]),
            str(category["name"]),
            color,
            (plane.get("z", 0), plane.get("t", 0)),
            measurements,
            shape,
        )


def _fail(message: str) -> None:
    raise AssertionError(message)
