"""What a model declares, and models of plugins written before `embedding_spec`."""

from __future__ import annotations

import pytest

from samnb.errors import ModelError
from samnb.models import HasPrecision, HasThreads, SupportsBatches, SupportsProposals, embedding_spec_of, load_model
from tests.support.numpy_model import NumpyModel

OPTIONAL = (HasPrecision, HasThreads, SupportsBatches, SupportsProposals)


class OldModel(NumpyModel):
    """As a plugin of an earlier release: with `recipe` in place of `embedding_spec`."""

    recipe = "old/1"

    @property
    def embedding_spec(self):
        raise AttributeError("embedding_spec")


class Unfinished(NumpyModel):
    """Has neither of the two."""

    @property
    def embedding_spec(self):
        return self._missing


def test_a_model_without_embedding_spec_is_named():
    with pytest.raises(ModelError, match=r"^Unfinished has no embedding_spec \(.*_missing.*\)"):
        embedding_spec_of(Unfinished())


def test_what_models_support():
    assert all(isinstance(load_model("tiny"), protocol) for protocol in OPTIONAL)
    assert not any(isinstance(NumpyModel(), protocol) for protocol in OPTIONAL)


def test_the_older_name_is_read_with_a_warning():
    with pytest.warns(DeprecationWarning, match="OldModel: rename `recipe` to `embedding_spec`"):
        assert embedding_spec_of(OldModel()) == "old/1"
    assert embedding_spec_of(NumpyModel()) == "numpy/1"
    tiny = load_model("tiny")
    assert tiny.recipe == tiny.embedding_spec
