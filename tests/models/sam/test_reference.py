"""`segment_anything` in a fresh interpreter: its nets come alone, the rest when it is asked for, each class once."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

NETS_ALONE = """
import sys
import numpy as np
from samnb import Prompt
from samnb.models import load_model

from tests.support.earlier_tiny import EARLIER_TINY
model = load_model("tiny", checkpoint=EARLIER_TINY)
embedding = model.encode(np.zeros((60, 80, 3), np.uint8))
assert model.decode(embedding, Prompt.of(points=[(40, 30)])).masks.shape == (3, 60, 80)
assert "segment_anything.modeling" in sys.modules
assert "torchvision" not in sys.modules
"""

WHOLE_AFTERWARDS = """
import inspect
from samnb.models import tiny_sam

from tests.support.earlier_tiny import EARLIER_TINY
sam = tiny_sam.build_sam(EARLIER_TINY)
import segment_anything
assert inspect.getmodule(type(sam)) is segment_anything.modeling.sam
assert not hasattr(segment_anything, "__wrapped__") and "torchvision" not in sys.modules  # looking is not asking
try:
    segment_anything.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError
from segment_anything import *
assert callable(sam_model_registry["vit_b"])
assert isinstance(sam, segment_anything.modeling.Sam)
assert segment_anything.build_sam.__globals__["Sam"] is type(sam)

import numpy as np
predictor = segment_anything.SamPredictor(sam)
predictor.set_image(np.zeros((60, 80, 3), np.uint8))
assert predictor.predict(np.array([[40, 30]]), np.array([1]))[0].shape == (3, 60, 80)

from samnb.models.sam.reference import import_segment_anything
assert import_segment_anything() is segment_anything
"""

MANY_THREADS = """
from concurrent.futures import ThreadPoolExecutor
from samnb.models.sam.reference import import_modeling, import_segment_anything

Sam = import_modeling().Sam
import segment_anything
with ThreadPoolExecutor(4) as pool:
    asked = [pool.submit(lambda: segment_anything.SamPredictor) for _ in range(3)]
    asked.append(pool.submit(lambda: import_segment_anything().SamPredictor))
    assert len({one.result() for one in asked}) == 1
assert import_segment_anything().modeling.Sam is Sam
"""

FAILING = """
import sys
from samnb.models.sam.reference import import_modeling, import_segment_anything

import_modeling()
sys.modules["torchvision"] = None  # an import of it fails
for _ in range(2):
    try:
        import_segment_anything()
    except ImportError as error:
        assert "torchvision" in str(error)
    else:
        raise AssertionError
del sys.modules["torchvision"]
assert import_segment_anything().SamPredictor
"""


@pytest.mark.parametrize("code", [NETS_ALONE + WHOLE_AFTERWARDS, MANY_THREADS, FAILING])
def test_in_a_fresh_interpreter(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
