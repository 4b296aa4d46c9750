"""`ScoreAdvice`: what helps when the small embedded model is unsure of several objects in a row. No widgets."""

from __future__ import annotations

# A score below it is an unsure mask; so many objects in a row are no accident.
_LOW, _OBJECTS = 0.5, 2

ADVICE = (
    "These masks come from the small built-in model. A box round the object, or a second click, helps it; "
    "a stronger one comes with: samnb models download mobile_sam"
)


class ScoreAdvice:
    """Counts objects whose mask has a low score.

    Examples
    --------
    >>> advice = ScoreAdvice("tiny")
    >>> advice.after(0.9), advice.after(0.4), advice.after(0.3) == ADVICE, advice.after(0.3)
    ('', '', True, '')
    """

    def __init__(self, model_name: str):
        self._wanted = model_name == "tiny"
        self._low = 0

    def after(self, score: float) -> str:
        """The text to show after an object was done with that score; "" for none."""
        self._low = self._low + 1 if score < _LOW else 0
        if not self._wanted or self._low < _OBJECTS:
            return ""
        self._wanted = False
        return ADVICE
