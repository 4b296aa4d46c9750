"""Methods of the annotator that are those of its parts: of the flow from object to object, and of the view."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .attribute_actions import AttributeActions
from .dropped_files import DroppedFiles
from .image_progress import ImageProgress
from .repeat import Repeater
from .stack_tool import StackTool
from .tool_settings import ToolSettings
from .unsure import UnsureActions
from .view_settings import ViewSettings

P = ParamSpec("P")
R = TypeVar("R")


def method_of(
    part: str, method: Callable[Concatenate[Any, P], R], *, acts: bool = True
) -> Callable[Concatenate[Any, P], R]:
    """A part's method as one of the annotator's, called with the lock held.

    Parameters
    ----------
    part : str
    method : callable
    acts : bool
        It is an action of the user, as most are; False: the pointer rests somewhere, or something is drawn.
    """

    @wraps(method)
    def call(self: Any, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            if acts:
                self._layout.begin_action()
            return method(getattr(self, part), *args, **kwargs)

    return call


def property_of(part: str, owner: type, name: str) -> Any:
    """A part's property as one of the annotator's."""

    def get(self: Any) -> Any:
        return getattr(getattr(self, part), name)

    def put(self: Any, value: Any) -> None:
        with self._lock:
            self._layout.begin_action()
            setattr(getattr(self, part), name, value)

    return property(get, put, doc=getattr(owner, name).__doc__)


class FlowMethods:
    """From object to object, and from image to image."""

    same_again = method_of("_repeater", Repeater.same_again)
    toggle_accept_on_next = method_of("_repeater", Repeater.toggle_accept_on_next)
    accept_on_next = property_of("_settings", ToolSettings, "accept_on_next")
    approve = method_of("_unsure", UnsureActions.approve)
    reject = method_of("_unsure", UnsureActions.reject)
    set_attribute = method_of("_attributes", AttributeActions.set_attribute)
    add_attribute = method_of("_attributes", AttributeActions.add_attribute)
    mark_image = method_of("_progress", ImageProgress.mark_image)
    copy_to_next = method_of("_progress", ImageProgress.copy_to_next)
    add_files = method_of("_dropped", DroppedFiles.add_files)


class ViewMethods:
    """How picture and annotations are shown."""

    color_by = property_of("_view", ViewSettings, "color_by")
    toggle_color_by = method_of("_view", ViewSettings.toggle_color_by)
    hidden_categories = property_of("_view", ViewSettings, "hidden_categories")
    toggle_category = method_of("_view", ViewSettings.toggle_category)
    hide_masks = method_of("_view", ViewSettings.hide_masks)
    overlap = property_of("_view", ViewSettings, "overlap")
    crosshair = property_of("_view", ViewSettings, "crosshair")
    toggle_crosshair = method_of("_view", ViewSettings.toggle_crosshair)
    change_opacity = method_of("_view", ViewSettings.change_opacity)
    brightness = property_of("_view", ViewSettings, "brightness")
    contrast = property_of("_view", ViewSettings, "contrast")
    channel = property_of("_view", ViewSettings, "channel")
    reset_picture = method_of("_view", ViewSettings.reset_picture)


class StackMethods:
    """Slices of a stack, and channels and limits of scientific pictures."""

    go_to_slice = method_of("_stacks", StackTool.go_to_slice)
    copy_to_next_slice = method_of("_stacks", StackTool.copy_to_next_slice)
    copy_through = method_of("_stacks", StackTool.copy_through)
    open_channels = method_of("_stacks", StackTool.open_channels)
    preview_view = method_of("_stacks", StackTool.preview_view)
    use_view = method_of("_stacks", StackTool.use_view)
    reset_view = method_of("_stacks", StackTool.reset_view)
