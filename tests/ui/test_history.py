"""Steps of a history: one that changes nothing is none."""

from __future__ import annotations

import numpy as np

from samnb.prompts import Prompt
from samnb.ui.annotator.draft import Draft, PackedLogits
from samnb.ui.annotator.history import History

NOTHING = np.zeros((4, 4), bool)


def test_a_stroke_that_changes_nothing_is_no_step() -> None:
    history = History()
    history.do("point", Draft(Prompt.of(points=[(1, 1)])))
    history.do("stroke", history.draft.painted(NOTHING, np.eye(4, dtype=bool)))
    history.do("stroke", history.draft.painted(NOTHING, np.eye(4, dtype=bool)))
    assert history.undo().what == "stroke"
    assert history.undo().what == "point"
    assert not history.can_undo


def test_what_was_undone_stays_when_nothing_is_done() -> None:
    history = History()
    history.do("point", Draft(Prompt.of(points=[(1, 1)])))
    history.undo()
    history.do("clear", Draft())
    assert history.can_redo


def test_other_logits_alone_are_kept_without_a_step() -> None:
    history = History()
    draft = Draft(Prompt.of(points=[(1, 1)]))
    history.do("point", draft)
    hint = PackedLogits.of(np.ones((2, 2), np.float32))
    history.do("point", Draft(draft.prompt, hint=hint))
    assert history.draft.hint == hint
    history.undo()
    assert not history.can_undo
