"""What `samnb bench` says of a machine is what was measured, and follows from it."""

from __future__ import annotations

import re

import pytest

from samnb.models import machine_rates
from samnb.models.machine_rates import advice


def test_advice_follows_the_rates() -> None:
    assert "3.0 times as fast" in advice(1e11, 3e11, 2e8)[0]
    assert "tries it" in advice(1e11, 3e11, 2e8)[0]
    assert "stays with float32" in advice(1e11, 1.2e11, 2e8)[0]
    assert "takes 60 ms" in advice(1e11, 1e11, 2e8)[1]


def test_every_rate_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TOKENS": 8, "_COPIED": 1 << 16, "_JPEG_HW": (30, 40)}.items():
        monkeypatch.setattr(machine_rates, name, value)
    products, memory, *rest = machine_rates.machine_rates()
    rates = [
        float(text.replace(",", "")) for text in re.findall(r"([\d,.]+) (?:GFLOP|GB|megapixels)/s", products + memory)
    ]
    assert len(rates) == 4
    assert all(rate >= 0 for rate in rates)
    assert len(rest) == 2


def test_a_slower_product_is_a_lower_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_rates, "_seconds", lambda work: work() is None or 0.5)
    half = machine_rates.product_rate("float32")
    monkeypatch.setattr(machine_rates, "_seconds", lambda work: work() is None or 0.25)
    assert machine_rates.product_rate("float32") == pytest.approx(2 * half)
