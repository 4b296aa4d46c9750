"""`ViewSettings`: how picture and annotations are shown: colours, what is hidden, overlaps, brightness, crosshair."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ...errors import UnknownName
from ..common.error_line import show_errors
from .picture_look import AS_IT_IS, CHANNELS, PictureLook
from .rendering import AnnotatorPart

if TYPE_CHECKING:
    from .layout import AnnotatorLayout
    from .tool_settings import ToolSettings

COLOR_BY = ("category", "object")
_OPACITY_STEP = 0.1


@dataclass(eq=False)
class ViewSettings(AnnotatorPart):
    """The settings of the view panel; setting one shows it. Nothing here changes what the model gets."""

    layout: AnnotatorLayout
    tools: ToolSettings
    _picture: PictureLook = field(default=AS_IT_IS, init=False)

    @property
    def color_by(self) -> str:
        """What the colour of an annotation tells: its "category", or which "object" it is."""
        return self.renderer.look.color_by

    @color_by.setter
    def color_by(self, what: str) -> None:
        if what not in COLOR_BY:
            raise UnknownName("way to colour annotations", what, COLOR_BY)
        self._annotations(color_by=what)

    @show_errors("The colours stay as they are")
    def toggle_color_by(self) -> None:
        """Colour annotations by their category, or each object in another colour."""
        self.color_by = "category" if self.color_by == "object" else "object"
        self.renderer.say(f"coloured by {self.color_by}")

    @property
    def hidden_categories(self) -> frozenset[str]:
        """Categories whose annotations are not drawn."""
        return self.renderer.look.hidden

    @show_errors("The category stays as it is")
    def toggle_category(self, name: str) -> None:
        """Hide the annotations of a category on the picture, or show them again."""
        self._annotations(hidden=self.hidden_categories ^ {name})

    def hide_masks(self, hidden: bool) -> None:
        """Hide all masks, while a key is held."""
        self.layout.stage.hide_masks(hidden)

    @property
    def overlap(self) -> bool:
        """Whether pixels that belong to two or more annotations are marked."""
        return self.renderer.look.overlap

    @overlap.setter
    def overlap(self, wanted: bool) -> None:
        self._annotations(overlap=bool(wanted))

    @property
    def crosshair(self) -> bool:
        """Whether lines across the picture follow the pointer."""
        return bool(self.layout.stage.overlay.crosshair)

    @crosshair.setter
    def crosshair(self, wanted: bool) -> None:
        self.layout.stage.overlay.crosshair = bool(wanted)
        self._show()

    @show_errors("The crosshair stays as it is")
    def toggle_crosshair(self) -> None:
        """Lines across the picture at the pointer, on or off."""
        self.crosshair = not self.crosshair

    @show_errors("The opacity stays as it is")
    def change_opacity(self, by: int) -> None:
        """More or less opaque masks, by a tenth."""
        self.tools.opacity = round(self.tools.opacity + by * _OPACITY_STEP, 2)
        self.renderer.say(f"opacity {100 * self.tools.opacity:.0f} %")

    # -- the picture ---------------------------------------------------------------------------------

    @property
    def brightness(self) -> float:
        """Of the picture that is shown, -1 to 1."""
        return self._picture.brightness

    @brightness.setter
    def brightness(self, value: float) -> None:
        self._show_picture(brightness=min(max(float(value), -1.0), 1.0))

    @property
    def contrast(self) -> float:
        """Of the picture that is shown, 0.2 to 5."""
        return self._picture.contrast

    @contrast.setter
    def contrast(self, value: float) -> None:
        self._show_picture(contrast=min(max(float(value), 0.2), 5.0))

    @property
    def channel(self) -> str:
        """The channel that is shown: "colour" for all three, "red", "green", "blue", or "grey"."""
        return self._picture.channel

    @channel.setter
    def channel(self, name: str) -> None:
        if name not in CHANNELS:
            raise UnknownName("channel", name, CHANNELS)
        self._show_picture(channel=name)

    @show_errors("The picture stays as it is")
    def reset_picture(self) -> None:
        """Show the picture as it is."""
        self._show_picture(brightness=0.0, contrast=1.0, channel="colour")

    def _show_picture(self, **values: object) -> None:
        self._picture = replace(self._picture, **values)  # type: ignore[arg-type]
        self.layout.stage.set_picture_look(self._picture)
        self._show()

    def _annotations(self, **values: object) -> None:
        self.renderer.look = replace(self.renderer.look, **values)  # type: ignore[arg-type]
        self.renderer.draw_annotations()
        self._show()

    def _show(self) -> None:
        look, picture = self.renderer.look, self._picture
        self.layout.show_view(
            color_by=look.color_by,
            overlap=look.overlap,
            crosshair=self.crosshair,
            brightness=picture.brightness,
            contrast=picture.contrast,
            channel=picture.channel,
        )
