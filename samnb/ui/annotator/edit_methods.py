"""Methods of the annotator that are those of its parts: selecting annotations and editing them."""

from __future__ import annotations

from .annotation_actions import AnnotationActions
from .annotator_methods import method_of, property_of
from .lasso_tool import LassoTool
from .object_actions import ObjectActions
from .polygon_tool import PolygonTool
from .rendering import Renderer


class EditMethods:
    """Selection, menus, merge and split; lasso and polygon."""

    select_more = method_of("_actions", AnnotationActions.select_more)
    set_category_of_selected = method_of("_actions", AnnotationActions.set_category_of_selected)
    duplicate_selected = method_of("_objects", ObjectActions.duplicate_selected)
    merge_selected = method_of("_objects", ObjectActions.merge_selected)
    split_selected = method_of("_objects", ObjectActions.split_selected)
    subtract_neighbours = method_of("_objects", ObjectActions.subtract_neighbours)
    open_menu = method_of("_objects", ObjectActions.open_menu)
    open_category_search = method_of("_objects", ObjectActions.open_category_search)
    highlight = method_of("_renderer", Renderer.highlight, acts=False)
    show_crops_of = method_of("_renderer", Renderer.draw_crops, acts=False)

    lasso = method_of("_lasso", LassoTool.lasso)
    drag_vertex = method_of("_polygon", PolygonTool.drag_vertex)
    add_vertex = method_of("_polygon", PolygonTool.add_vertex)
    remove_vertex = method_of("_polygon", PolygonTool.remove_vertex)
    close_polygon = method_of("_polygon", PolygonTool.close_polygon)
    simplify_outline = method_of("_polygon", PolygonTool.simplify_outline)
    vertices = property_of("_polygon", PolygonTool, "vertices")
