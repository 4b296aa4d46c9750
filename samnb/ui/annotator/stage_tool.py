"""`StageTool`: the protocol of a tool of the stage: points and boxes, brush, polygon, selection. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .gestures import Gesture


class StageTool(Protocol):
    """What the gestures on the stage do while this tool is the chosen one; one module has one tool."""

    def handle(self, gesture: Gesture) -> bool:
        """Act on a gesture; False if the tool has no use for it."""
