"""What fuzzing begins with: small whole files of every kind, and what was found before, in tests/data/fuzz."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pydicom
import tifffile
from PIL import Image

from samnb.prompts import Embedding
from samnb.settings import SETTINGS
from samnb.store.entry import make_key, serialize
from tests.fuzz.targets import BETWEEN, KEY, SIZE
from tests.support.malformed import real_files

DATA = Path(__file__).parents[1] / "data"


@cache
def seeds(target: str) -> dict[str, bytes]:
    """Inputs of a target by name: made here, and kept as files."""
    kept = {path.name: path.read_bytes() for path in sorted((DATA / "fuzz" / target).glob("*"))}
    return {**_MADE[target](), **kept}


def _entries() -> dict[str, bytes]:
    embedding = Embedding({"t": np.arange(8.0).reshape(2, 2, 2), "u": np.ones(3)}, (4, 4), (4, 4))
    about = {"pixel_hash": "pixels", "fingerprint": "weights", "recipe": "recipe"}
    return {d: serialize(KEY, embedding, dtype=d, metadata=about) for d in ("float16", "float32", "int8")}


def _coco() -> dict[str, bytes]:
    annotation = {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 1, 9, 9], "area": 81, "score": 0.5}
    height, width = SIZE
    forms = {
        "polygon": [[1, 1, 9, 1, 9, 9.5, 1, 9]],
        "pairs": [[[1, 1], [9, 1], [9, 9]]],
        "counts": {"size": [height, width], "counts": [100, 40, height * width - 140]},
        "compressed": {"size": [height, width], "counts": "dl0X1n0"},
        "text": '{"size": [40, 60], "counts": [2400]}',
    }
    documents = {
        name: {
            "info": {"description": "samnb", "attributes": [{"name": "old", "kind": "flag"}]},
            "images": [{"id": 1, "file_name": r"a\b%20c.png", "height": height, "width": width}],
            "categories": [{"id": 7, "name": "coin"}],
            "annotations": [annotation | {"segmentation": form, "attributes": {"old": True}, "iscrowd": 0}],
        }
        for name, form in forms.items()
    }
    return {name: json.dumps(one).encode() for name, one in documents.items()}


def _labelme() -> dict[str, bytes]:
    dot = {"label": "a", "shape_type": "mask", "points": [[1, 1], [8, 6]], "mask": _base64(_png(np.ones((6, 8), bool)))}
    shapes = [
        {
            "label": "coin",
            "points": [[1, 1], [9, 1], [9, 9]],
            "group_id": 3,
            "flags": {"old": True},
            "description": "x",
        },
        {
            "label": "coin",
            "points": [[1, 1], [9, 9]],
            "shape_type": "rectangle",
            "group_id": 3,
            "attributes": {"k": "v"},
        },
        {"label": 5, "points": [[9, 9], [12, 9]], "shape_type": "circle", "score": 0.5},
        dot,
        {"label": "__ignore__", "points": []},
    ]
    whole = {"imagePath": "../a.png", "imageHeight": 40, "imageWidth": 60, "shapes": shapes, "imageData": "aGVsbG8="}
    return {"shapes": json.dumps(whole).encode()}


def _masks() -> dict[str, bytes]:
    one = np.zeros((12, 20), np.uint8)
    one[2:9, 3:15] = 255
    labels = one // 85
    colours = np.stack([one, one // 2, one], axis=2)
    index = b"image,mask,labels,label,category,category_id,score,height,width,attributes\n"
    rows = b'a.jpg,coin.png,,,coin,1,0.5,40,60,"{""old"": true}"\nb.png,,l.png,3,cell,2,"0,5",12,20,\n'
    return {
        "names": _files({"a_1.png": _png(one), "b__2_coin.png": _png(labels), "a/x.png": _png(one)}),
        "colours": _files({"a.png": _png(colours), "labelmap.txt": b"# label:color\ncoin:255,127,255::\n"}),
        "index": _files({"index.csv": index + rows, "coin.png": _png(one), "l.png": _png(labels)}),
    }


def _voc() -> dict[str, bytes]:
    box = "<bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>"
    more = "<attributes><attribute><name>side</name><value>left</value></attribute></attributes>"
    one = f"<object><name>coin</name><truncated>1</truncated>{box}{more}</object>"
    size = "<size><width>60</width><height>40</height></size>"
    source = "<source><database>samnb</database><image>b c.png</image></source>"
    whole = f"<annotation><filename>a&#228;.png</filename>{source}{size}{one}{one}</annotation>"
    values = np.zeros(SIZE, np.uint8)
    values[2:20, :30] = 2
    png = _png(values)
    declared = f'<?xml version="1.0" encoding="utf-16"?>{whole}'.encode("utf-16")
    return {
        "alone": _files({"a.xml": whole.encode(), "b.xml": declared, "labels.txt": b'coin\n"a\\u200b"\n'}),
        "masks": _files({"Annotations/a.xml": whole.replace("samnb", "").encode(), "SegmentationObject/a.png": png}),
        "ours": _files({"Annotations/a.xml": whole.encode(), "SegmentationObject/a.png": png}),
    }


def _yolo() -> dict[str, bytes]:
    outline = b"0 0.1 0.1 0.9 0.1 0.9 0.8\n1 0.5 0.5 0.25 0.125 0.75\n\n"
    data = b'path: .\ntrain: images\nnames:\n  0: coin\n  1: "no"\nkpt_shape: [2, 3]\n'
    return {
        "yaml": _files({"data.yaml": data, "labels/a.txt": outline}),
        "list": _files({"data.yaml": b"names: [coin, leaf]", "labels/b.txt": outline}),
        "classes": _files({"classes.txt": b"coin\nleaf\n", "images/a.txt": outline, "train.txt": b"images/a.jpg"}),
    }


def _recipes() -> dict[str, bytes]:
    return {"0.1": (DATA / "written_by_0_1" / "recipe.json").read_bytes()}


def _templates() -> dict[str, bytes]:
    return {"0.1": (DATA / "written_by_0_1" / "discs.template.json").read_bytes()}


def _archives() -> dict[str, bytes]:
    key = make_key("pixels", "weights", "recipe")
    whole, long = io.BytesIO(), io.BytesIO()
    for stream, form in ((whole, tarfile.PAX_FORMAT), (long, tarfile.GNU_FORMAT)):
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for name in (f"{key[:2]}/{key[2:4]}/{key}.safetensors", "x" * 150 if stream is long else "ä"):
                member = tarfile.TarInfo(name)
                member.size = len(content := _entries()["float16"])
                archive.addfile(member, io.BytesIO(content))
    return {"pax": whole.getvalue(), "gnu": long.getvalue()}


def _zips() -> dict[str, bytes]:
    made = {}
    for name, method in (
        ("stored", zipfile.ZIP_STORED),
        ("deflated", zipfile.ZIP_DEFLATED),
        ("bz2", zipfile.ZIP_BZIP2),
    ):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method) as file:
            file.writestr("a/b.png", _png(np.zeros((9, 9), np.uint8)))
            file.writestr("../c.jpg", b"away")
        made[name] = stream.getvalue()
    return made


def _pictures() -> dict[str, bytes]:
    return {**real_files(), **_sources()}


def _sources() -> dict[str, bytes]:
    values = np.arange(2 * 3 * 32 * 48, dtype=np.uint16).reshape(2, 3, 32, 48)
    made = {
        "ome.tif": _tiff(values, ome=True, metadata={"axes": "ZCYX", "PhysicalSizeX": 0.5}),
        "imagej.tif": _tiff(values[:, 0], imagej=True, metadata={"axes": "ZYX", "unit": "um"}, resolution=(2, 2)),
        "tiled.tif": _tiff(values[0, 0], tile=(16, 16), compression="zlib", predictor=True),
        "float.tif": _tiff(values[0].astype(np.float32), planarconfig="separate", photometric="rgb"),
        "view": b'{"samnb_view":1}',
        "dcm": _dicom(values[0, 0]),
    }
    try:
        import pillow_heif
    except ImportError:
        return made
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.zeros((32, 48, 3), np.uint8))).save(stream)
    return {**made, "heic": stream.getvalue()}


def _settings() -> dict[str, bytes]:
    texts = ["10GB", "5%", "12h", "0.5", "1e3", "on", "float16", "redis://a:b@c:1/0, s3://d/e", "-1", "inf", "١٠"]
    return {f"{number}": text.encode() for number, text in enumerate([*texts, *(s.default for s in SETTINGS)])}


_MADE = {
    "entry": _entries,
    "coco": _coco,
    "labelme": _labelme,
    "masks": _masks,
    "voc": _voc,
    "yolo": _yolo,
    "recipe": _recipes,
    "template": _templates,
    "archive": _archives,
    "zip": _zips,
    "picture": _pictures,
    "source": _sources,
    "settings": _settings,
}


def _png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def _base64(content: bytes) -> str:
    import base64

    return base64.b64encode(content).decode()


def _files(files: dict[str, bytes]) -> bytes:
    return BETWEEN.join(name.encode() + b"\n" + content for name, content in files.items())


def _tiff(values: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def _dicom(values: np.ndarray) -> bytes:
    about = pydicom.dataset.FileMetaDataset()
    about.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    about.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    about.MediaStorageSOPInstanceUID = "1.2.3"
    data = pydicom.Dataset()
    data.file_meta = about
    data.Rows, data.Columns = values.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.PixelSpacing = 15, 0, [0.5, 0.5]
    data.PixelData = values.tobytes()
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data, enforce_file_format=True)
    return stream.getvalue()
