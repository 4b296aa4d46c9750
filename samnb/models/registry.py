"""The registry of models: loading, downloading and describing them by name."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from ..errors import CheckpointMissing, ModelError, PackageMissing, UnknownName
from ..settings import setting
from . import tiny, tiny_sam
from .devices import check_device, check_precision
from .huggingface import families
from .huggingface.model import HuggingFaceSam
from .huggingface.sam3 import Sam3
from .phrases import Find, FoundObjects, SupportsPhrases
from .plugins import find_plugins
from .protocol import Model, ModelEntry
from .sam import mobile_sam, variants
from .sam.model import SamConfig, SamModel
from .tiny.model import LiteModel, is_lite_file
from .weights.checkpoints import ModelInfo, WeightFile, find_checkpoint, open_checkpoint, where_from
from .weights.downloads import download_checkpoint


def _sam_entry(info: ModelInfo, config: SamConfig) -> ModelEntry:
    def load(info: ModelInfo, weights: WeightFile, *, device: str, precision: str = "auto") -> Model:
        return SamModel(info, weights, config, device=device, precision=precision)

    return ModelEntry(info, load)


def _load_tiny(info: ModelInfo, weights: WeightFile, *, device: str, precision: str = "auto") -> Model:
    """Load the shipped weights, or a file of the earlier net."""
    if is_lite_file(weights.path):
        return LiteModel(info, weights, device=device, precision=precision)
    if info == tiny.MODEL:
        info = replace(info, family=tiny_sam.FAMILY)
    return SamModel(info, weights, tiny_sam.sam_config(), device=device, precision=precision)


REGISTRY: dict[str, ModelEntry] = {
    "tiny": ModelEntry(tiny.MODEL, _load_tiny),
    **{info.name: _sam_entry(info, variants.sam_config(info.name)) for info in variants.MODELS},
    "mobile_sam": _sam_entry(mobile_sam.MODEL, mobile_sam.sam_config()),
    **{info.name: ModelEntry(info, Sam3 if info.phrases else HuggingFaceSam) for info in families.MODELS},
}
"""samnb's own models by name."""


def load_model(
    name: str,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Model:
    """Open a model by name; no torch is imported and no net built yet.

    Parameters
    ----------
    name : str
        One of `available_models`.
    checkpoint : path or None
        The weight file, or for families of ``transformers`` the folder with ``config.json`` and ``model.safetensors``;
        for SAM 2 Meta's own file too.
        None: the bundled one, or the published one in ``SAMNB_CHECKPOINTS`` or the user's data folder.
    device : str
        ``"auto"`` (cuda, else mps, else cpu), or one by name.
    precision : str
        Of the image encoder: ``"float32"``, ``"float16"``, ``"bfloat16"``, or ``"auto"``: the one that
        ``SAMNB_PRECISION`` names, else float16 on cuda, and float32 elsewhere unless the model finds another one better
        on this machine. `ModelEntry.load` gets it where it is not ``"auto"``.

    Returns
    -------
    Model
        A device that this machine lacks is said when it is used: by a `ModelError` of its `device`, or of `encode`.

    Raises
    ------
    UnknownName
        No model, device or precision of that name.
    CheckpointMissing, CheckpointDamaged, CheckpointMismatch
        The weight file is not there, truncated or altered, or of another model.
    PackageMissing
        The model needs a package that is not installed.
    DownloadFailed
        ``SAMNB_DOWNLOAD`` is set, and the weights could not be downloaded.
    ModelError
        Another package failed to register the model, or the model computes in one precision only.

    Examples
    --------
    >>> model = load_model("tiny", device="cpu")
    >>> model.name, model.encoder_built
    ('tiny', False)
    """
    entry = _entry(name)
    check_device(device)
    options = {} if check_precision(precision) == "auto" else {"precision": precision}
    if options and "precision" not in signature(entry.load).parameters:
        raise ModelError(f"{name} computes in one precision only; leave precision={precision!r} out.")
    if missing := missing_packages(entry.info):
        raise PackageMissing(f"The model {name!r}", " and ".join(missing), entry.info.extra)
    downloads = checkpoint is None and entry.info.published.sha256 is not None and setting("SAMNB_DOWNLOAD")
    if downloads and installed(entry.info) is None:
        download(name)
    needs_weights = bool(entry.info.file_name)
    weights = open_checkpoint(entry.info, find_checkpoint(entry.info, checkpoint)) if needs_weights else None
    return entry.load(entry.info, weights, device=device, **options)


def download(name: str, *, folder: str | os.PathLike[str] | None = None, show: bool = True) -> Path:
    """Download the published weights of a model, checked by SHA-256; an interrupted download is resumed.

    Parameters
    ----------
    name : str
        One of `available_models`.
    folder : path, optional
        None: ``SAMNB_CHECKPOINTS``, or the user's data folder, where `load_model` finds them.
    show : bool
        Show a progress bar.

    Returns
    -------
    Path
        Of the weight file. Weights that ship with samnb are returned where they are, whatever the folder.

    Raises
    ------
    UnknownName
        No model of that name.
    DownloadFailed
        Not found, not reachable, not the published file, or no room for it; or samnb knows no SHA-256 of the weights.
    ModelError
        Another package failed to register the model.

    Examples
    --------
    >>> download("tiny", show=False).name  # ships with samnb
    'tiny.safetensors'
    """
    info, target = _entry(name).info.published, None if folder is None else Path(folder).expanduser()
    if info.bundled:
        return find_checkpoint(info)
    from tqdm.auto import tqdm

    options: Any = {"total": info.size_bytes, "unit": "B", "unit_scale": True, "desc": info.file_name}
    with tqdm(**options, disable=None if show else True) as bar:
        return download_checkpoint(info, target, on_progress=lambda received, total: bar.update(received - bar.n))


def available_models() -> list[ModelInfo]:
    """List the models that `load_model` knows, whether or not their weights are on this machine.

    Returns
    -------
    list of ModelInfo
        samnb's own models first, "tiny" at the front; then those of other packages, by name.

    Examples
    --------
    >>> info = available_models()[1]
    >>> info.file_name, info.size_bytes
    ('sam_vit_b_01ec64.pth', 375042383)
    """
    known = {**REGISTRY, **find_plugins(REGISTRY).entries}
    return [_measured(entry.info) if entry.info is tiny.MODEL else entry.info for entry in known.values()]


def check_phrases(model: Model) -> SupportsPhrases:
    """Check that a model finds objects by words.

    Parameters
    ----------
    model : Model

    Returns
    -------
    SupportsPhrases
        The same model.

    Raises
    ------
    ModelError
        It does not; the message names the registered models that do.

    Examples
    --------
    >>> check_phrases(load_model("tiny"))
    Traceback (most recent call last):
        ...
    samnb.errors.ModelError: tiny knows no words. Open the session with a model that does: 'sam3'; samnb models sam3.
    """
    if isinstance(model, SupportsPhrases):
        return model
    names = [info.name for info in available_models() if info.phrases]
    raise ModelError(
        f"{model.name} knows no words. Open the session with a model that does: {', '.join(map(repr, names))}; samnb "
        f"models {names[0]}."
    )


def finder(model: Model) -> Find:
    """Give `SupportsPhrases.find` of a model, without a check yet: any model may be given.

    Parameters
    ----------
    model : Model

    Returns
    -------
    callable
        With the parameters and the result of `SupportsPhrases.find`.

    Raises
    ------
    ModelError
        When what is returned is called, and the model knows no words; as `check_phrases`.

    Examples
    --------
    >>> find = finder(load_model("tiny"))
    >>> find(None, phrase="coin")
    Traceback (most recent call last):
        ...
    samnb.errors.ModelError: tiny knows no words. Open the session with a model that does: ...
    """

    def find(*given: Any, **options: Any) -> FoundObjects:
        return check_phrases(model).find(*given, **options)

    return find


def broken_plugins() -> dict[str, str]:
    """List the models that other packages failed to register.

    Returns
    -------
    dict of str to str
        By the model's name: the package, and why it failed. Empty if all work.

    Examples
    --------
    >>> broken_plugins()
    {}
    """
    return find_plugins(REGISTRY).broken


def missing_packages(info: ModelInfo) -> list[str]:
    """List the packages that a model needs and that are not installed.

    Parameters
    ----------
    info : ModelInfo
        One of `available_models`.

    Returns
    -------
    list of str
        Their names in Python; empty if it can be loaded. `ModelInfo.extra` installs them.

    Examples
    --------
    >>> missing_packages(available_models()[0])
    []
    """
    return [package for package in info.packages if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ImportError:  # of a part of a package: the package itself is not there, or broken
        return False


def model_card(name: str) -> str:
    """Describe a model: for the embedded one the card that ships with its weights.

    Parameters
    ----------
    name : str
        One of `available_models`.

    Returns
    -------
    str
        Markdown: what it is good for, its weights and whether they are here, where they are from, and their licence.

    Raises
    ------
    UnknownName
        No model of that name.
    ModelError
        Another package failed to register the model.

    Examples
    --------
    >>> print(model_card("vit_b").splitlines()[0])
    # vit_b
    """
    info = _entry(name).info
    if info == tiny.MODEL:
        return tiny.WEIGHTS.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    path = installed(info)
    where = f"at {path}" if path else f"not on this machine; {where_from(info)}"
    size = f", {info.size_bytes:,} bytes" if info.size_bytes else ""
    missing = missing_packages(info)
    return "\n".join(
        [
            f"# {name}\n\n{info.description}\n",
            f"- weights: {info.file_name}{size}, {where}",
            f"- SHA-256: {info.sha256 or 'not known to samnb'}",
            f"- source: {info.url}",
            *(_as_one_file(info.single) if info.single else []),
            f"- licence: {info.licence}",
            *([f'- needs {" and ".join(missing)}: pip install "samnb[{info.extra}]"'] if missing else []),
        ]
    )


def _as_one_file(single: ModelInfo) -> list[str]:
    return [
        f"- or as one file: {single.file_name}, {single.size_bytes:,} bytes, from {single.url}",
        f"- SHA-256 of that: {single.sha256}",
    ]


def installed(info: ModelInfo) -> Path | None:
    """Find a model's weights on this machine, by the name of the file.

    Parameters
    ----------
    info : ModelInfo
        One of `available_models`.

    Returns
    -------
    Path or None
        Of the weight file, which is not opened: in the package, in ``SAMNB_CHECKPOINTS``, or in the user's data folder.
        None if it is in none of them, and for a model without a weight file.

    Examples
    --------
    >>> installed(available_models()[0]).name
    'tiny.safetensors'
    """
    try:
        return find_checkpoint(info) if info.file_name else None
    except CheckpointMissing:
        return None


def _entry(name: str) -> ModelEntry:
    """Find an entry by name; other packages are only searched for names that are not samnb's own."""
    if name in REGISTRY:
        return REGISTRY[name]
    plugins = find_plugins(REGISTRY)
    if name in plugins.entries:
        return plugins.entries[name]
    if name in plugins.broken:
        raise ModelError(f"{plugins.broken[name]}. Ask its authors, or uninstall the package.") from plugins.causes.get(
            name
        )
    raise UnknownName("model", name, [*REGISTRY, *plugins.entries])


def _measured(info: ModelInfo) -> ModelInfo:
    weights = open_checkpoint(info, find_checkpoint(info))
    return replace(info, size_bytes=weights.size_bytes, sha256=weights.sha256)
