"""The tensors of one part of a model, taken from the names and values of a weight file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import CheckpointMismatch


def part_of(
    path: Path, model_name: str, state: Mapping[str, Any], part: str, expected: Mapping[str, Any]
) -> dict[str, Any]:
    """Take the tensors named ``<part>.…``, without that prefix.

    Parameters
    ----------
    path, model_name
        For the message.
    state
        All tensors of the file.
    part
        Such as ``"image_encoder"``.
    expected
        The tensors that the part has, by name.

    Raises
    ------
    CheckpointMismatch
        A tensor is missing, unexpected or of another shape.
    """
    prefix = part + "."
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    wrong = [
        f"{prefix}{name} is {tuple(found[name].shape)}, expected {shape}"
        for name, shape in shapes.items()
        if name in found and tuple(found[name].shape) != shape
    ]
    problems = [
        _some("missing", [prefix + name for name in shapes if name not in found]),
        _some("unexpected", [prefix + name for name in found if name not in shapes]),
        _some("of another shape", wrong),
    ]
    if any(problems):
        raise CheckpointMismatch(
            f"{path}: does not hold the weights of {model_name}: {'; '.join(filter(None, problems))}. "
            "Give the checkpoint of this model, or load this one under its own name."
        )
    return found


def _some(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{len(names)} {what} ({', '.join(names[:4])}{more})"
