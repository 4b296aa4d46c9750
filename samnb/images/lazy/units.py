"""Units of length: their µm, and lengths and areas as text."""

from __future__ import annotations

_UM = {
    "m": 1e6, "meter": 1e6, "metre": 1e6, "km": 1e9, "kilometer": 1e9, "dm": 1e5, "cm": 1e4, "centimeter": 1e4,
    "mm": 1e3, "millimeter": 1e3, "um": 1.0, "micrometer": 1.0, "micrometre": 1.0, "micron": 1.0, "microns": 1.0,
    "nm": 1e-3, "nanometer": 1e-3, "pm": 1e-6, "picometer": 1e-6, "Å": 1e-4, "angstrom": 1e-4, "in": 25400.0,
    "inch": 25400.0, "ft": 304800.0, "foot": 304800.0,
}  # fmt: skip
_SHOWN = ((1e9, "km"), (1e6, "m"), (1e3, "mm"), (1.0, "µm"), (1e-3, "nm"))


def um_per(unit: str) -> float:
    """µm in one unit of length; 0 for what is none: "pixel", "reference frame", "".

    >>> um_per("mm"), um_per("µm"), um_per("pixel")
    (1000.0, 1.0, 0.0)
    """
    plain = unit.strip().replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u")
    return _UM.get(plain, _UM.get(plain.lower(), 0.0))


def length_text(um: float) -> str:
    """A length with a fitting unit.

    >>> length_text(20), length_text(0.5), length_text(2.5e6)
    ('20 µm', '500 nm', '2.5 m')
    """
    size, unit = next(((size, unit) for size, unit in _SHOWN if abs(um) >= size * 0.9999), _SHOWN[-1])
    return f"{um / size:.4g} {unit}"


def area_text(um2: float) -> str:
    """An area with a fitting unit.

    >>> area_text(25), area_text(4e12), area_text(0.04)
    ('25 µm²', '4 m²', '4e+04 nm²')
    """
    size, unit = next(((size, unit) for size, unit in _SHOWN if abs(um2) >= (size * 0.9999) ** 2), _SHOWN[-1])
    return f"{um2 / size**2:.4g} {unit}²"
