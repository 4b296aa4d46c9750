"""`samnb.Session` and the double of the tests provide what the widgets' protocols ask for."""

import inspect

import pytest

import samnb
from samnb.ui import session_protocol
from samnb.ui.session_protocol import AnnotatorSession, Signal
from tests.support.fake_session import FakeSession

PROTOCOLS = [value for name, value in vars(session_protocol).items() if name.endswith("Session")]


def members(protocol):
    return {
        name: member
        for base in protocol.__mro__
        if base.__module__ == session_protocol.__name__
        for name, member in vars(base).items()
        if not name.startswith("_")
    }


def lacking(session, protocol):
    """Members that a session lacks, or that cannot be called as the protocol says."""
    problems = []
    for name, member in members(protocol).items():
        if not hasattr(session, name):
            problems.append(name)
        elif isinstance(member, property):
            if str(member.fget.__annotations__["return"]) == "Signal":
                problems += [f"{name}.{each}" for each in members(Signal) if not hasattr(getattr(session, name), each)]
        else:
            own = inspect.signature(getattr(session, name)).parameters
            anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values())
            for parameter in list(inspect.signature(member).parameters.values())[1:]:
                theirs = own.get(parameter.name)
                keyword_only = parameter.kind is parameter.KEYWORD_ONLY
                if theirs is None:
                    problems += [] if keyword_only and anything else [f"{name}({parameter.name})"]
                elif theirs.kind is theirs.KEYWORD_ONLY and not keyword_only:
                    problems.append(f"{name}({parameter.name}) takes a keyword only")
    return problems


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_session_provides_what_the_widgets_need(tmp_path, protocol):
    with samnb.Session(tmp_path) as session:
        assert lacking(session, protocol) == []


def test_the_double_provides_what_the_annotator_needs():
    assert lacking(FakeSession(), AnnotatorSession) == []


def test_what_is_missing_is_found():
    class Half(FakeSession):
        predict = None
        encoding_changes = None

        def accept(self, prediction, *, label):
            return None

    del Half.predict
    double = Half()
    double.encoding_changes = object()
    found = lacking(double, AnnotatorSession)
    assert {"encoding_changes.subscribe", "accept(category)", "accept(index)"} <= set(found)
