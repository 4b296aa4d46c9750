"""`TemplateCatalog`: the part of the catalog for templates and the images they were applied to."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select, update

from ..errors import TemplateError, UnknownName
from ..records import AnnotationRecord, NewAnnotation
from .annotation_queries import (
    FORMERLY,
    from_template,
    insert_annotations,
    remove_of_template,
    template_contents,
    template_values,
    version_for,
)
from .database import Database
from .image_queries import checked_image_ids
from .tables import annotation_table, applied_table, image_table, template_table
from .values import batches, now, to_json


class TemplateCatalog:
    """Templates of a `Catalog`."""

    _database: Database

    def save_template(self, name: str, values: Mapping[str, Any], *, version: int | None = None) -> int:
        """Save a template's values; returns their version.

        Parameters
        ----------
        version : int, optional
            Its values are replaced. Left out: the latest version if its values are the same, else the next, from 1.
        """
        content = to_json(values)
        with self._database.write() as connection:
            if version is None:
                contents = template_contents(connection, name)
                version = version_for(contents, content)
                if version in contents:  # written again, it would lose the former names of its categories
                    return version
            row = {"name": name, "version": version, "content": content, "created_at": now()}
            insert = self._database.insert(template_table).values(row)
            kept = {"content": content}
            connection.execute(insert.on_conflict_do_update(index_elements=["name", "version"], set_=kept))
        return version

    def template(self, name: str, version: int | None = None) -> dict[str, Any]:
        """The values of that version, or of the latest. Raises `UnknownName`."""
        with self._database.read() as connection:
            contents = template_contents(connection, name)
            if not contents:
                raise UnknownName("template", name, set(connection.scalars(select(template_table.c.name))))
        wanted = max(contents) if version is None else version
        if wanted not in contents:
            raise UnknownName(f"version of template {name!r}:", version, map(str, contents))
        return template_values(contents[wanted])

    def former_categories(self, template: str) -> dict[str, str]:
        """The former names of a template's categories that were renamed or merged, each with the present one."""
        with self._database.read() as connection:
            contents = template_contents(connection, template).values()
        # The word may be a category's, or a phrase.
        known = (json.loads(content).get(FORMERLY, {}) for content in contents if to_json(FORMERLY) in content)
        return {old: new for names in known for old, new in names.items()}

    def templates(self) -> list[tuple[str, int]]:
        """(name, version) of every template, in that order."""
        columns = (template_table.c.name, template_table.c.version)
        with self._database.read() as connection:
            return [(name, version) for name, version in connection.execute(select(*columns).order_by(*columns))]

    def applied(self, template: str, version: int, model: str) -> set[str]:
        """Ids of the images with the results of this template, version and model, their pixels unchanged since."""
        return {image for image, last in self.applied_versions(template, model).items() if last == version}

    def applied_versions(self, template: str, model: str) -> dict[str, int]:
        """By image id, the version whose results it has; only images whose pixels are unchanged since."""
        same_image = image_table.c.id == applied_table.c.image_id
        same_pixels = image_table.c.pixel_hash == applied_table.c.pixel_hash
        run = {"template": template, "model": model}
        query = select(applied_table.c.image_id, applied_table.c.version).join(image_table, same_image & same_pixels)
        query = query.where(*(applied_table.c[name] == value for name, value in run.items()))
        with self._database.read() as connection:
            return {row.image_id: row.version for row in connection.execute(query)}

    def finish_applied(
        self,
        template: str,
        version: int,
        model: str,
        image_id: str,
        annotations: Sequence[NewAnnotation],
        *,
        pixel_hash: str | None = None,
    ) -> list[AnnotationRecord]:
        """Replace this template's results on one image, and record it as applied, in one transaction.

        Until `Catalog.sync`, a power cut may lose it as a whole; the image is then searched again.

        Results of any version of the template are removed (source ``template:<name>`` or ``template:<name>@…``). All
        else stays, also what a review accepted or rejected. New ones have the source ``template:<name>@<version>``.

        Parameters
        ----------
        pixel_hash : str, optional
            Of the pixels that were searched; nothing is written where the image has others by now.

        Raises
        ------
        TemplateError
            Another picture came under the image's name since it was searched.
        UnknownName
            The image is not in the catalog, or an annotation is of another image.
        """
        return self.finish_applied_all(template, version, model, [(image_id, annotations, pixel_hash)])[0]

    def finish_applied_all(
        self,
        template: str,
        version: int,
        model: str,
        results: Sequence[tuple[str, Sequence[NewAnnotation], str | None]],
    ) -> list[list[AnnotationRecord]]:
        """`finish_applied` for several images in one transaction: all of them, or none.

        Parameters
        ----------
        results : sequence of (image_id, annotations, pixel_hash)
            Each image once.
        """
        source = f"template:{template}"
        new = [[from_template(one, image_id, f"{source}@{version}") for one in found] for image_id, found, _ in results]
        ids = [image_id for image_id, _, _ in results]
        with self._database.write(durable=False) as connection:
            here = checked_image_ids(connection, ids)
            for image_id, _, pixel_hash in results:
                if pixel_hash not in (None, here[image_id]):
                    raise TemplateError(
                        f"Template {template!r}, image {image_id}: another picture came under its name while it was "
                        "searched; nothing was kept of it. Apply the template again."
                    )
            row = {"template": template, "version": version, "model": model, "applied_at": now()}
            for batch in batches(results):
                rows = [{**row, "image_id": image_id, "pixel_hash": here[image_id]} for image_id, _, _ in batch]
                remove_of_template(
                    connection, source, annotation_table.c.image_id.in_([each["image_id"] for each in rows])
                )
                self._database.upsert(connection, applied_table, rows, key=("template", "image_id"))
            records = iter(insert_annotations(connection, [one for found in new for one in found]))
        return [[next(records) for _ in found] for found in new]

    def forget_applied(self, template: str, image_ids: Collection[str] | None = None) -> int:
        """Remove the results of any version of a template, on these images or on all; returns their number.

        Annotations that a review accepted or rejected stay.
        """
        batch_of: list[Sequence[str] | None] = [None] if image_ids is None else list(batches(sorted(image_ids)))
        gone = 0
        with self._database.write() as connection:
            for batch in batch_of:
                here = [] if batch is None else [annotation_table.c.image_id.in_(batch)]
                there = [] if batch is None else [applied_table.c.image_id.in_(batch)]
                gone += remove_of_template(connection, f"template:{template}", *here)
                connection.execute(delete(applied_table).where(applied_table.c.template == template, *there))
        return gone


def rename_category_in_templates(connection: Connection, old: str, new: str) -> None:
    """Give a category another name in every saved version of every template.

    Where a template has one of the new name too, the two become one, unless they are searched by different phrases:
    then the version stays as it is.
    """
    key = (template_table.c.name, template_table.c.version)
    for name, version in connection.execute(select(*key)).all():
        this = (template_table.c.name == name, template_table.c.version == version)
        content = connection.scalars(select(template_table.c.content).where(*this)).one()
        if to_json(old) not in content:
            continue
        values = json.loads(content)
        categories = renamed_categories(values.get("categories", []), old, new)
        if categories is not None:
            renamed = to_json({**values, "categories": categories, FORMERLY: _former(values, old, new)})
            connection.execute(update(template_table).where(*this).values(content=renamed))


def _former(values: Mapping[str, Any], old: str, new: str) -> dict[str, str]:
    """The former names of a template's categories after one more was renamed."""
    before = {name: new if now == old else now for name, now in values.get(FORMERLY, {}).items()} | {old: new}
    return {name: now for name, now in before.items() if name != now}


def renamed_categories(categories: Sequence[Any], old: str, new: str) -> list[Any] | None:
    """A template's categories with the new name; None: they stay."""
    own = [one for one in categories if isinstance(one, dict) and one.get("category") in (old, new)]
    if not any(one["category"] == old for one in own) or len({one["phrase"] for one in own if "phrase" in one}) > 1:
        return None
    joined: dict[str, Any] = {}
    for one in own:
        for field, value in one.items():
            there = joined.get(field)
            # The same background belongs to each category of a template.
            joined[field] = (
                [*there, *(each for each in value if each not in there)] if isinstance(there, list) else value
            )
    joined["category"] = new
    place = categories.index(own[0])
    return [*categories[:place], joined, *(one for one in categories[place:] if one not in own)]
