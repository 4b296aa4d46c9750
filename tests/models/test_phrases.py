from __future__ import annotations

import pytest

from samnb.errors import PromptError
from samnb.models import Exemplar


@pytest.mark.parametrize("wrong", [None, (1, 2, 3), (4, 4, 2, 8), (1, 2, 3, float("nan")), "a box"])
def test_what_is_no_box_is_no_exemplar(wrong: object) -> None:
    for given in (wrong, Exemplar(wrong)):  # type: ignore[arg-type]
        with pytest.raises(PromptError, match="box") as refused:
            Exemplar.of(given)  # type: ignore[arg-type]
        assert "points" not in str(refused.value)
