"""`StackTool`: moves through a stack, copies objects from slice to slice, and shows channels by other limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from ...cards import count_text
from ...images.lazy import PixelMapping, StackAxis
from ...images.value_preview import ValuePreview
from ..common.background import LatestOnlyWorker
from ..common.error_line import show_errors
from .history import Change
from .large_pyramid import for_stage
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from ...records import ImageRecord
    from ..session_protocol import AnnotatorSession
    from .annotation_set import AnnotationSet
    from .change_follower import ChangeFollower
    from .editor import Editor
    from .image_list import ImageList
    from .layout import AnnotatorLayout
    from .navigation import Navigator

_USE = 1  # a priority of its own: no preview replaces a view that is to be used


@dataclass(eq=False)
class StackTool(AnnotatorPart):
    """The bar below the tools, for images of stacks and scientific pictures."""

    session: AnnotatorSession
    editor: Editor
    annotations: AnnotationSet
    image_list: ImageList
    follower: ChangeFollower
    navigator: Navigator
    layout: AnnotatorLayout
    worker: LatestOnlyWorker = field(default_factory=LatestOnlyWorker)
    _stack: list[tuple[ImageRecord, Mapping[str, int]]] = field(default_factory=list)
    _previewed: PixelMapping | None = None
    _values: tuple[str, ValuePreview, PixelMapping] | None = None

    def opened(self, record: ImageRecord) -> None:
        """Another image is shown."""
        self._stack, self._previewed = self.session.stack_places(record), None
        place = dict(next((at for one, at in self._stack if one.id == record.id), {}))
        axes = [
            StackAxis(name, 1 + max(at.get(name, 0) for _, at in self._stack)) for name in place if len(self._stack) > 1
        ]
        axes = [axis for axis in axes if axis.size > 1]
        bar = self.layout.stack_bar
        bar.show_stack(axes, place, channels=self.session.is_scientific(record))
        self.layout.stage.show_pixel_size(self.session.pixel_size(record))
        if self._values is not None and self._values[0] != record.id:
            self._values = None
        if bar.panel.is_open:
            self._read(record)

    # -- slices ------------------------------------------------------------------------------------

    @show_errors("That slice cannot be shown")
    def go_to_slice(self, axis: str, index: int) -> None:
        """Show the image of the stack at that place of an axis; places that are no image are left out."""
        image = self.editor.image
        if image is None or self.editor.accept_is_pending():
            return
        here = dict(next((at for one, at in self._stack if one.id == image.id), {}))
        wanted = {**here, axis: int(index)}
        found = next((one for one, at in self._stack if dict(at) == wanted), None)
        if found is None:
            self.layout.say(f"{axis} {index} of this stack is no image of the session")
            self.opened(image)
        else:
            self.navigator.show(found.id)

    @show_errors("The objects were not copied")
    def copy_to_next_slice(self) -> None:
        """Copy the selected annotation, or all of this slice, to the next slice, and show it; one step of undo."""
        following = self._following()
        if following:
            copies = self._copied(following[:1])
            if copies:
                before = self.editor.image
                self.navigator.show(following[0].id)
                self.editor.history.do("copy", self.editor.draft, [Change(None, copy) for copy in copies])
                self.renderer.apply(())
                self.layout.say(f"{len(copies)} copied from {before.filename if before else ''} · Z takes them back")

    @show_errors("The objects were not copied")
    def copy_through(self) -> None:
        """Copy the selected annotation, or all of this slice, to all slices after it; one step of undo."""
        following = self._following()
        if following:
            copies = self._copied(following)
            if copies:
                self.editor.history.do("copy", self.editor.draft, [Change(None, copy) for copy in copies])
                for one in following:
                    self.image_list.mark_annotated(one, True)
                self.renderer.apply(())
                self.layout.say(f"{len(copies)} copied to {count_text(len(following), 'slice')} · Z takes them back")

    def _following(self) -> list[ImageRecord]:
        """The slices after this one along the last axis."""
        image = self.editor.image
        if image is None or self.editor.accept_is_pending():
            return []
        here = dict(next((at for one, at in self._stack if one.id == image.id), {}))
        if here:
            last = list(here)[-1]
            rest = {name: index for name, index in here.items() if name != last}
            found = [
                one
                for one, at in self._stack
                if at.get(last, 0) > here[last] and {n: i for n, i in at.items() if n != last} == rest
            ]
            if found:
                return found
        self.layout.say("this is the last slice")
        return []

    def _copied(self, to: Sequence[ImageRecord]) -> list[Any]:
        chosen = [self.annotations.find(one) for one in self.annotations.selection]
        chosen = chosen or self.annotations.in_drawing_order
        if not chosen:
            self.layout.say("nothing to copy")
            return []
        with self.follower.own_change():
            return [copy for one in to for copy in self.session.copy_annotations(chosen, one)]

    # -- channels ----------------------------------------------------------------------------------

    @show_errors("The channels cannot be shown")
    def open_channels(self) -> None:
        """Open or close the panel with channels, limits and gamma."""
        panel, image = self.layout.stack_bar.panel, self.editor.image
        if panel.is_open:
            panel.close_panel()
            self.reset_view()
        elif image is not None:
            self._read(image)

    @show_errors("This view cannot be shown")
    def preview_view(self, mapping: PixelMapping) -> None:
        """Show the image by another mapping; what is encoded stays as it is."""
        if self._values is None:
            return
        image_id, values, _ = self._values
        self._previewed = mapping
        self.worker.submit(lambda: (image_id, values.shown(mapping)), partial(self._show_preview, mapping))

    @show_errors("This view cannot be used")
    def use_view(self, mapping: PixelMapping) -> None:
        """Show the stack by another mapping from now on, and encode it so; annotations stay."""
        image = self.editor.image
        if image is None or self.editor.accept_is_pending():
            return
        if self.editor.renewing:
            self.layout.say("one moment: the view before is still read")
            return
        before = [one for one, _ in self.session.stack_places(image)]
        self.editor.renewing = frozenset(one.id for one in before)
        self.layout.say(f"reading the values of {count_text(len(before), 'image')}, as when added …")
        self.worker.submit(
            partial(self.session.use_view, image.id, mapping), partial(self._take_view, before), priority=_USE
        )

    def _take_view(self, before: Sequence[ImageRecord], records: Any, error: Exception | None) -> None:
        with self.editor.lock:
            renewed, self.editor.renewing = self.editor.renewing, frozenset()
            shown = self.editor.image if self.editor.image is not None and self.editor.image.id in renewed else None
            if error is None:
                self.editor.renew(before, records)  # the drafts are the session's: they outlive this annotator
            if self.layout.is_closed:
                return
            if error is not None:
                if shown is not None:
                    self.editor.changed()  # a mask that failed meanwhile is asked for again
                self.show_error("This view cannot be used", error)
                return
            self.image_list.renew(records)
            if self._values is not None and self._values[0] in renewed:
                self._values = None
            if shown is not None:
                stage = self.layout.stage
                view = stage.view
                self.navigator.show(shown.id)
                stage.set_view(view)  # where the user was looking
            self.layout.tell(f"{count_text(len(records), 'image')} shown and encoded by this view")

    @show_errors("The view stays as it is")
    def reset_view(self) -> None:
        """Show the view that is encoded."""
        image, self._previewed = self.editor.image, None
        if image is not None:
            picture = self.session.large_picture(image) or self.session.pixels(image)
            self.layout.stage.replace_picture(for_stage(picture))
            if self.layout.stack_bar.panel.is_open and self._values is not None:
                self._fill_panel()

    def _read(self, image: ImageRecord) -> None:
        if self._values is None:

            def read() -> tuple[str, ValuePreview, PixelMapping]:
                whole = self.session.large_picture(image) is None
                source, view = self.session.open_source(image.id)
                return image.id, ValuePreview(source, dict(view.at), whole=whole), view.mapping

            self.layout.note("reading the values …")
            self.worker.submit(read, self._take_values)
        else:
            self._fill_panel()

    def _take_values(self, found: Any, error: Exception | None) -> None:
        if error is not None:
            self.show_error("The channels cannot be read", error)
        elif not self.layout.is_closed and self.editor.image is not None and found[0] == self.editor.image.id:
            self._values = found
            self._fill_panel()
            self.layout.note("")

    def _fill_panel(self) -> None:
        assert self._values is not None
        _, values, mapping = self._values
        self.layout.stack_bar.panel.open_panel(values.channels, values.ranges, mapping)

    def _show_preview(self, mapping: PixelMapping, found: Any, error: Exception | None) -> None:
        if mapping is not self._previewed or self.layout.is_closed:
            return  # the view was reset, or another image shown, while it was computed
        if error is not None:
            self.show_error("This view cannot be shown", error)
        elif self.editor.image is not None and found[0] == self.editor.image.id:
            self.layout.stage.replace_picture(for_stage(found[1]))
