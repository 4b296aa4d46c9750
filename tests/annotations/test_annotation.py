import pytest

from samnb.annotations.annotation import Annotations


def test_no_annotations_are_an_empty_table():
    pytest.importorskip("pandas")
    assert list(Annotations().to_dataframe().columns)[:3] == ["id", "dataset", "image"]
    assert "<table>" in Annotations()._repr_html_()
