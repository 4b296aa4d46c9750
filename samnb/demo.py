"""Packaged photographs as files, and the whole workflow without a browser: `samnb demo`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from tqdm import tqdm

from .cards import count_text
from .jobs import Event
from .masks import category_color, contact_sheet, overlay

if TYPE_CHECKING:
    from .session import Session

__all__ = ["CLICKED", "COIN_CROPS", "COIN_POINTS", "demo_pictures", "run"]

#: Windows (x0, y0, x1, y1) of scikit-image's `coins`; each holds at least eight whole coins.
COIN_CROPS = {
    "coins_1.png": (0, 20, 243, 222),
    "coins_2.png": (180, 10, 384, 222),
    "coins_3.png": (0, 98, 215, 303),
    "coins_4.png": (180, 95, 384, 303),
    "coins_5.png": (76, 25, 306, 225),
    "coins_6.png": (76, 100, 330, 303),
}

#: The image that is clicked on, and (x, y) of three of its coins.
CLICKED = "monday/coins_1.png"
COIN_POINTS = ((102, 106), (45, 104), (154, 178))

_PHOTOS = {
    "astronaut.png": "astronaut",
    "camera.png": "camera",
    "chelsea.png": "chelsea",
    "coffee.png": "coffee",
    "rocket.jpg": "rocket",
}
_EXACT_COPIES = {"IMG_0412.png": "coffee.png", "IMG_0413.jpg": "rocket.jpg"}
_LOSSLESS_COPIES = {"flower_resaved.png": "flower.jpg"}


def demo_pictures(folder: str | Path) -> Path:
    """Write real photographs as files: "monday" with coins, "photos" with everything else and duplicates.

    They come from the packages scikit-image and scikit-learn; nothing is downloaded. "photos" holds two files
    that are exact copies of others and one that is a lossless copy. Files that are there already stay.

    Parameters
    ----------
    folder : path
        Made if it is missing.

    Returns
    -------
    Path
        The folder, with "monday" and "photos" in it.

    Raises
    ------
    ImportError
        scikit-image or scikit-learn is missing.
    OSError
        The folder cannot be made or written.

    Examples
    --------
    >>> import tempfile
    >>> folder = demo_pictures(tempfile.mkdtemp())
    >>> sorted(path.name for path in (folder / "monday").iterdir())[:2]
    ['coins_1.png', 'coins_2.png']
    """
    folder = Path(folder)
    coins, photos = folder / "monday", folder / "photos"
    for place in (coins, photos):
        place.mkdir(parents=True, exist_ok=True)
    data, sample_folder = _packaged()
    sheet = Image.fromarray(data.coins())
    for name, window in COIN_CROPS.items():
        _write(sheet.crop(window), coins / name)
    for name, picture in _PHOTOS.items():
        _write(Image.fromarray(getattr(data, picture)()), photos / name)
    for name in ("china.jpg", "flower.jpg"):
        _copy(sample_folder / name, photos / name)
    for name, original in _EXACT_COPIES.items():
        _copy(photos / original, photos / name)
    for name, original in _LOSSLESS_COPIES.items():
        with Image.open(photos / original) as opened:
            _write(opened.convert("RGB"), photos / name)
    return folder


def run(folder: str | Path | None = None) -> int:
    """The whole workflow in a terminal: add, prewarm, click, template, apply, export, contact sheet.

    Parameters
    ----------
    folder : path, optional
        Folder for pictures, session and exports; None: "demo-output". A second run on the same folder finds
        everything cached and computes nothing.

    Returns
    -------
    int
        0 when every image was encoded, 1 when some failed or the pictures are not installed.

    Raises
    ------
    OSError
        The folder cannot be made or written.

    Examples
    --------
    It takes some seconds, and shows the pictures with their masks in "demo-output/contact_sheet.png".

    >>> run("demo-output")  # doctest: +SKIP
    samnb demo: from pictures to saved masks, all in demo-output/
    images added     16 (16 new) in 2 datasets
    ...
    contact sheet    demo-output/contact_sheet.png
    ...
    0
    """
    from .session import Session

    out = Path(folder or "demo-output")
    print(f"samnb demo: from pictures to saved masks, all in {out}/")
    try:
        pictures = demo_pictures(out / "pictures")
    except ImportError as error:
        print(error, file=sys.stderr)
        return 1
    with Session(out / "session") as session:
        _add(session, pictures)
        prewarmed = _stream(session.prewarm_stream(), "prewarm")
        print(f"embeddings       computed {prewarmed['computed']}, skipped {prewarmed['skipped']} (found in the cache)")
        _click(session)
        _apply(session)
        sheet = _export(session, out)
    print(f"contact sheet    {sheet}")
    if prewarmed["computed"]:
        print("\nRun it again: computed 0. Every picture is encoded once, by its content.")
    print("Do it by hand in JupyterLab: samnb lab")
    return 1 if prewarmed["failed"] else 0


def _add(session: Session, pictures: Path) -> None:
    reports = [session.add(pictures / name, dataset=name) for name in ("monday", "photos")]
    images, new = (sum(n) for n in zip(*((len(r.images), r.added) for r in reports), strict=True))
    print(f"images added     {images} ({new} new) in {len(reports)} datasets")
    for failure in (f for report in reports for f in report.failed):
        print(f"  not added      {failure}")
    print(f"duplicates found {sum(len(group) - 1 for group in session.duplicates())}")
    for group in session.duplicates():
        print("  same pixels    " + " = ".join(image.filename for image in group))


def _click(session: Session) -> None:
    by_hand = [a for a in session.annotations(image=CLICKED) if a.source == "hand"]
    clicked = {tuple(point) for a in by_hand for point in a.prompt["points"]}
    session.predict(CLICKED, points=COIN_POINTS[:1])  # loads the decoder: the times are those of clicks
    for point in COIN_POINTS:
        found = session.predict(CLICKED, points=[point])
        print(f"click {point!s:<10} score {found.score:.2f}, {found.ms:.0f} ms, cache_hit={found.cache_hit}")
        if point not in clicked:
            session.accept(found, category="coin")


def _apply(session: Session) -> None:
    template = session.template("coins", categories=["coin"])
    applied = _stream(session.apply_stream(template, dataset="monday"), "apply")
    print(f"template         {template!r}")
    print(f"applied          to {count_text(applied['computed'], 'image')}, skipped {applied['skipped']} (done before)")


def _export(session: Session, out: Path) -> Path:
    session.export("coco", out / "coins.json")
    session.export("masks", out / "masks")
    print(f"masks written    {len(session.annotations(dataset='monday'))}, to {out / 'masks'} and {out / 'coins.json'}")
    tiles = [_drawn(session, image.id) for image in session.images("monday")]
    captions = [image.filename for image in session.images("monday")]
    path = out / "contact_sheet.png"
    Image.fromarray(contact_sheet(tiles, columns=3, captions=captions)).save(path)
    return path


def _drawn(session: Session, image_id: str) -> Any:
    masks = [a.mask for a in session.annotations(image=image_id)]
    return overlay(session.pixels(image_id), masks, colors=[category_color(i) for i in range(len(masks))])


def _stream(events: Iterable[Event], name: str) -> dict[str, Any]:
    """Follow the events with a bar and return the last as a dict."""
    last: dict[str, Any] = {}
    with tqdm(desc=name, unit="image", leave=False, disable=None) as bar:
        for event in events:
            last = event.as_dict()
            if event.status == "failed":
                bar.write(f"  failed         {event.filename}: {event.get('error')}")
            bar.total = event.total
            bar.set_postfix_str(event.filename)
            bar.update(event.status != "done")
    return last


def _packaged() -> tuple[Any, Path]:
    try:
        import skimage.data
        import sklearn.datasets
    except ImportError as error:
        raise ImportError(
            f"The demo's pictures come with scikit-image and scikit-learn, and {error.name} is not installed. "
            'Install them with: pip install "samnb[demo]"'
        ) from error
    return skimage.data, Path(sklearn.datasets.__file__).parent / "images"


def _write(picture: Image.Image, path: Path) -> None:
    options: dict[str, Any] = {"quality": 95} if path.suffix == ".jpg" else {}
    _make(path, lambda partial: picture.save(partial, **options))


def _copy(source: Path, path: Path) -> None:
    _make(path, lambda partial: shutil.copyfile(source, partial))


def _make(path: Path, write: Callable[[Path], object]) -> None:
    if not path.exists():
        # A hidden name first, so that an interrupted first run leaves no partial picture.
        partial = path.with_name(f".{path.name}")
        write(partial)
        partial.replace(path)
