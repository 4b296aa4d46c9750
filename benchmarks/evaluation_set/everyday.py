"""The pictures of the set `everyday`: whose they are, their licence, and the package and place they come from.

They are stored here, because their packages are not installed where the tests run: copies of at most 480 pixels
(`airport`: a part, 530 pixels wide), JPEG.
"""

from __future__ import annotations

from typing import NamedTuple


class Credit(NamedTuple):
    """Author, licence, package, and where the picture comes from as the package names it."""

    author: str
    licence: str
    package: str
    source: str


_COMMONS = "https://commons.wikimedia.org/wiki/File:"
_PDP = "https://publicdomainpictures.net/en/view-image.php?"


def _gcompris(author: str, source: str) -> Credit:
    return Credit(author, "public domain", "Debian gcompris-qt-data 3.1-2", source)


def _kphotoalbum(file: str) -> Credit:
    return Credit("Jesper K. Pedersen", "GPL-2.0-or-later", "Debian kphotoalbum 5.9.1-1", f"demo/{file}")


CREDITS = {
    "airport": _kphotoalbum("snow.jpg"),
    "bar": _kphotoalbum("bar55.jpg"),
    "billiards": _kphotoalbum("pool.jpg"),
    "citrus": Credit(
        "US Department of Agriculture",
        "public domain",
        "Debian palapeli-data 22.12.3-1",
        _COMMONS + "Citrus_fruits.jpg",
    ),
    "claw_hammer": _gcompris("Evan-Amos", _COMMONS + "Claw-hammer.jpg"),
    "cow": _gcompris("Dohduhdah", _COMMONS + "Cow-IMG_2050.JPG"),
    "desk_cat": Credit(
        "Kivy Team", "MIT", "Debian python-kivy-examples 2.1.0-1", "demo/pictures/images/faust_github.jpg"
    ),
    "duck": _gcompris("Bernard Spragg", _COMMONS + "Aylesbury_Duck._(9373723157).jpg"),
    "hammer": _gcompris("Marina Shemesh", _PDP + "image=134245"),
    "hens": _gcompris("Tranquilles", _COMMONS + "Chickens_at_Tranquilles_B%26B.JPG"),
    "multimeter": _gcompris("Neo139", _COMMONS + "Multimeter_ut33c.JPG"),
    "owl": _gcompris("Lepale", _COMMONS + "Owl_The_Nightbird.jpg"),
    "pig": _gcompris("Teinesavaii", _COMMONS + "Pig_1,_Savaii,_Samoa.JPG"),
    "playing_cat": _gcompris("Loliloli", _COMMONS + "Spielendes_K%C3%A4tzchen.JPG"),
    "pliers": _gcompris("Baran Ivo", _COMMONS + "Plier02.jpg"),
    "portrait_man": _kphotoalbum("jesper_2.jpg"),
    "president": Credit(
        "Pete Souza, The White House: Barack Obama",
        "public domain",
        "PyPI face-recognition 1.3.0",
        "tests/test_images/obama.jpg",
    ),
    "rabbit": _kphotoalbum("spiff.jpg"),
    "scissors": _gcompris("Evan-Amos", _COMMONS + "Fiskars-scissors.jpg"),
    "screwdriver": _gcompris("Oktaeder", _COMMONS + "Schraubenzieher.jpg"),
    "sea_man": _kphotoalbum("cold_water.jpg"),
    "shears": _gcompris("Julo", _COMMONS + "Nozyce_stajenne-do_strzyzenia_grzyw_konskich.jpg"),
    "sheep": _gcompris("Rob Mitchell", _COMMONS + "Sheep_(33625876592).jpg"),
    "shepherd_dog": _gcompris("Hans Kemperman", _COMMONS + "German-shepherd-4040871920._(2).jpg"),
    "spray_bottle": _gcompris("George Hodan", _PDP + "image=67036"),
    "tape_measure": _gcompris("Evan-Amos", _COMMONS + "Measuring-tape.jpg"),
    "three_men": _kphotoalbum("qt-logo.jpg"),
    "tweezers": _gcompris("Evan-Amos", _COMMONS + "Tweezers-variety.jpg"),
    "wrench": _gcompris("M338", _COMMONS + "Adjustable_Angle_Wrenches.jpg"),
}
