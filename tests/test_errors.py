import inspect
import pickle

import pytest

from samnb import errors


def public_classes():
    return [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.SamnbError)]


def test_every_error_is_in_the_tree_and_exported():
    names = {c.__name__ for c in public_classes()}
    assert names == set(errors.__all__)
    assert all(name in errors.__doc__ for name in names)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.ImageNotFound("a.png"), FileNotFoundError),
        (errors.ImageUnreadable("a.png", "truncated"), ValueError),
        (errors.PointOutsideImage((9, 9), (4, 4)), ValueError),
        (errors.UnknownName("model", "x"), LookupError),
        (errors.UnknownOption("call", ["x"], ["y"]), TypeError),
        (errors.SessionReadOnly("folder"), PermissionError),
        (errors.SessionTooNew("folder", "2", "1"), OSError),
        (errors.TemplateMismatch("coins", "a", "b"), ValueError),
    ],
)
def test_an_error_is_also_what_python_would_raise(error, builtin):
    assert isinstance(error, builtin)
    assert len(str(error)) > 20


def test_an_unknown_name_says_what_is_known_and_near():
    text = str(errors.UnknownName("category", "coim", ["coin", "rim"]))
    assert text == "Unknown category 'coim'. Did you mean 'coin'? Known: 'coin', 'rim'."
    assert "and 8 more" in str(errors.UnknownName("image", "x", map(str, range(20))))
    assert "none yet" in str(errors.UnknownName("category", "x"))


def test_a_template_of_the_earlier_net_says_which_weights_open_it():
    file = "training/earlier_weights/tiny.safetensors"
    assert file in str(errors.TemplateMismatch("coins", "tiny-01ab", "tiny_lite0-23cd"))
    assert file in str(errors.TemplateMismatch("coins", "tiny-01ab", "tiny_lite0-23cd", features="tiny"))
    assert file not in str(errors.TemplateMismatch("coins", "tiny_lite0-23cd", "sam-01ab"))


@pytest.mark.parametrize(
    "error",
    [
        errors.ImageNotFound("a.png"),
        errors.PointOutsideImage((9, 9), (4, 4)),
        errors.UnknownName("category", "coim", ["coin", "rim"]),
        errors.WorkWouldBeLost("dataset 'monday'", 3),
        errors.TemplateMismatch("coins", "a", "b"),
        errors.SamePixels("a.png", "b.png"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_arrives_from_another_process(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
