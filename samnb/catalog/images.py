"""`ImageCatalog`: the part of the catalog for datasets and images, and which embeddings are cached."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, delete, func, or_, select, tuple_, update

from ..errors import AnyPath, NameTaken, PromptError, UnknownName
from ..records import UNREAD, DatasetRecord, ImageRecord, NewImage, RemovalReport
from .database import Database
from .image_queries import (
    ORDER,
    SEED_COLUMNS,
    checked_image_ids,
    count_cached,
    dataset_id_of,
    dataset_ids,
    dataset_records,
    file_names_near,
    find_dataset,
    find_image,
    image_record_of,
    image_records,
    image_values,
    new_ids,
    remove_images,
    set_cached,
    update_image,
)
from .stored_paths import PREFIX
from .tables import dataset_table, file_table, image_table
from .values import batches, now, path_text

PIECE = 2000


class ImageCatalog:
    """Datasets and images of a `Catalog`."""

    _database: Database

    # -- datasets

    def add_dataset(self, name: str, *, durable: bool = True) -> DatasetRecord:
        """The dataset of that name, made if there is none; see `add_images` for `durable`.

        Raises
        ------
        PromptError
            There is none, and the name is empty.
        """
        with self._database.write(durable=durable) as connection:
            self._dataset_id(connection, name)
            return find_dataset(connection, name)

    def datasets(self) -> list[DatasetRecord]:
        """All datasets, the oldest first."""
        with self._database.read() as connection:
            return dataset_records(connection)

    def dataset(self, name: str) -> DatasetRecord:
        """The dataset of that name. Raises `UnknownName`."""
        with self._database.read() as connection:
            return find_dataset(connection, name)

    def rename_dataset(self, name: str, new_name: str) -> DatasetRecord:
        """Give a dataset another name; its images and annotations stay as they are.

        Raises
        ------
        UnknownName, NameTaken
            There is none of that name, or one of the new name.
        PromptError
            The new name is empty.
        """
        _check_name(new_name)
        with self._database.write() as connection:
            found = find_dataset(connection, name)
            if dataset_records(connection, dataset_table.c.name == new_name, dataset_table.c.id != found.id):
                raise NameTaken("dataset", new_name)
            this_one = dataset_table.c.id == found.id
            connection.execute(update(dataset_table).where(this_one).values(name=new_name))
            return find_dataset(connection, new_name)

    def delete_dataset(self, name: str, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove a dataset from the catalog, with its images and their annotations.

        Files, embeddings and the same pictures in other datasets stay. Searches for proposals go with the last image of
        their picture, unless a person accepted or rejected one of its proposals.

        Raises
        ------
        UnknownName
            No such dataset.
        WorkWouldBeLost
            It holds annotations that no template made, and `discard_annotations` is False.
        """
        with self._database.write() as connection:
            found = find_dataset(connection, name)
            here = image_table.c.dataset_id == found.id
            gone = remove_images(connection, name, here, discard=discard_annotations)
            connection.execute(delete(dataset_table).where(dataset_table.c.id == found.id))
            return gone

    # -- images

    def remove_image(self, image_id: str, *, discard_annotations: bool = False) -> RemovalReport:
        """Remove one image, by id, from its dataset, with its annotations; its file and embedding stay.

        Raises
        ------
        UnknownName, WorkWouldBeLost
            As `delete_dataset`.
        """
        with self._database.write() as connection:
            checked_image_ids(connection, [image_id])
            this_one = image_table.c.id == image_id
            [image] = image_records(connection, this_one)
            what = f"image '{image.dataset}/{image.filename}'"
            return remove_images(connection, image.dataset, this_one, discard=discard_annotations, what=what)

    def add_images(self, dataset: str, pictures: Sequence[NewImage], *, durable: bool = True) -> list[ImageRecord]:
        """Add pictures to a dataset, made when missing; a path that is already there gets the new values.

        Parameters
        ----------
        dataset : str
        pictures : sequence of NewImage
        durable : bool
            False: a power cut may lose them until `Catalog.sync`.

        Returns
        -------
        list of ImageRecord
            One for each picture given, in that order.
        """
        paths = [path_text(picture.path) for picture in pictures]
        records: dict[str, ImageRecord] = {}
        # At least one, empty, so that the dataset is made.
        for batch in list(batches(list(dict(zip(paths, pictures, strict=True)).items()))) or [[]]:
            with self._database.write(durable=durable) as connection:
                written = self._upsert(connection, dataset, batch)
            records.update((record.path, record) for record in written)
        return [records[path] for path in paths]

    def images(self, *, dataset: str | None = None, start: int = 0, count: int | None = None) -> list[ImageRecord]:
        """All images, or those of one dataset, by dataset and position.

        Parameters
        ----------
        dataset : str, optional
            May raise `UnknownName`.
        start, count : int
            Position of the first one, from 0, and their largest number.
        """
        if not start and count is None:
            return list(self.iter_images(dataset=dataset))
        page: Any = {"offset": start or None, "limit": count}
        with self._database.read() as connection:
            if dataset is None:
                return image_records(connection, **page)
            here = image_table.c.dataset_id == dataset_id_of(connection, dataset)
            return image_records(connection, here, order=[image_table.c.position], **page)

    def iter_images(self, *, dataset: str | None = None) -> Iterator[ImageRecord]:
        """The images of `images`, `PIECE` at a time; no transaction stays open between two pieces."""
        with self._database.read() as connection:
            wanted = dataset_ids(connection) if dataset is None else [dataset_id_of(connection, dataset)]
        return (record for dataset_id in wanted for record in self._of_dataset(dataset_id))

    def _of_dataset(self, dataset_id: str) -> Iterator[ImageRecord]:
        place, here = (image_table.c.position, image_table.c.id), image_table.c.dataset_id == dataset_id
        beyond: list[Any] = []
        while True:
            with self._database.read() as connection:
                piece = image_records(connection, here, *beyond, order=place, limit=PIECE)
            yield from piece
            if len(piece) < PIECE:
                return
            beyond = [tuple_(*place) > (piece[-1].position, piece[-1].id)]

    def image(self, ref: AnyPath, *, dataset: str | None = None) -> ImageRecord:
        """One image by its id, name, path or hash.

        Parameters
        ----------
        ref : str or path
            Tried in this order: id, file name, ``"dataset/filename"``, path, content hash, pixel hash (a `Path`:
            path first). A hash may be cut short, to 8 digits or more, while it means only one. Where several
            images of one picture fit, the first by dataset and position.
        dataset : str, optional
            Images of this one are meant first.

        Raises
        ------
        UnknownName
            Nothing fits, or a name or a short hash fits several pictures.
        """
        with self._database.read() as connection:
            return find_image(connection, ref, dataset)

    def unread_images(self, *, perceptual_version: int = 0) -> list[ImageRecord]:
        """Images from the earlier server whose files were not read since, by dataset and position.

        With a version, also those whose perceptual hash is of an older one.
        """
        unread = image_table.c.pixel_hash.startswith(UNREAD, autoescape=True)
        with self._database.read() as connection:
            return image_records(connection, unread | (image_table.c.perceptual_version < perceptual_version))

    def renew_images(self, pictures: Mapping[str, NewImage]) -> list[ImageRecord]:
        """Give images, by id, new values: what was read of their files, or their new paths.

        Returns
        -------
        list of ImageRecord
            Without those that were removed meanwhile, and those whose new path another image of the dataset has.
        """
        renewed: list[ImageRecord] = []
        for batch in batches(list(pictures.items())):
            with self._database.write() as connection:
                ids = [image_id for image_id, picture in batch if update_image(connection, image_id, picture)]
                renewed += image_records(connection, image_table.c.id.in_(ids))
        return renewed

    def images_stored_elsewhere(self, folder: str) -> list[ImageRecord]:
        """Images with an absolute path that contains the first 16 digits of a hash of theirs, as stored pictures have.

        Without those whose path begins with `folder`.
        """
        path = image_table.c.path
        hashes = (func.substr(column, 1, 16) for column in (image_table.c.content_hash, image_table.c.pixel_hash))
        with self._database.read() as connection:
            elsewhere = (func.substr(path, 1, len(begins)) != begins for begins in (PREFIX, folder))
            return image_records(connection, *elsewhere, or_(*(path.contains(digits) for digits in hashes)))

    def known_paths(self, paths: Collection[str]) -> set[str]:
        """The paths among these that an image of any dataset has."""
        return self._known(image_table.c.path, paths)

    def known_pixels(self, pixel_hashes: Collection[str]) -> set[str]:
        """The pixel hashes among these that an image of any dataset has."""
        return self._known(image_table.c.pixel_hash, pixel_hashes)

    def images_with_pixels(self, pixel_hashes: Collection[str]) -> list[ImageRecord]:
        """The images of all datasets that have any of these pixel hashes."""
        return [record for piece in self._with_pixels(pixel_hashes) for record in piece]

    def duplicates(self) -> list[tuple[ImageRecord, ...]]:
        """Groups of two or more images with the same pixels, each by dataset and position."""
        pixels = image_table.c.pixel_hash
        twice = select(pixels).group_by(pixels).having(func.count() > 1)
        groups: dict[str, list[ImageRecord]] = {}
        with self._database.read() as connection:
            for record in image_records(connection, pixels.in_(twice)):
                groups.setdefault(record.pixel_hash, []).append(record)
        return [tuple(group) for group in groups.values()]

    # -- what is cached

    def refresh_cached(self, has: Callable[[ImageRecord], bool], *, pixel_hashes: Collection[str] | None = None) -> int:
        """Set `embedding_cached` of every image to what `has` returns; returns the number of cached images.

        There is one flag per image: where sessions with several models share a catalog, it is of the session that
        compared last. `Session.status` and `Session.is_cached` always ask the store.

        `has` is called for every image (with these pixels, if given) before anything is locked, and again, inside the
        one transaction that writes, for those whose flag is wrong.
        """
        if self._database.newer:  # a flag is not a person's work: it is left as it is, without an error
            with self._database.read() as connection:
                return count_cached(connection)
        wrong = [record.id for record in self.wrongly_flagged(has, pixel_hashes=pixel_hashes)]
        with self._database.write(durable=False) as connection:
            for batch in batches(wrong):
                records = image_records(connection, image_table.c.id.in_(batch))
                held = {record.id for record in records if has(record)}
                set_cached(connection, True, image_table.c.id.in_(held))
                set_cached(connection, False, image_table.c.id.in_(set(batch) - held))
            return count_cached(connection)

    def wrongly_flagged(
        self, has: Callable[[ImageRecord], bool], *, pixel_hashes: Collection[str] | None = None
    ) -> Iterator[ImageRecord]:
        """Images whose `embedding_cached` differs from what `has` returns; of all, or of those with these pixels."""
        for piece in self._all_in_pieces() if pixel_hashes is None else self._with_pixels(pixel_hashes):
            yield from (record for record in piece if has(record) != record.embedding_cached)

    def _all_in_pieces(self) -> Iterator[list[ImageRecord]]:
        """All images by id, `PIECE` at a time; no transaction stays open between two pieces."""
        beyond: list[Any] = []
        while True:
            with self._database.read() as connection:
                piece = image_records(connection, *beyond, order=[image_table.c.id], limit=PIECE)
            if not piece:
                return
            yield piece
            beyond = [image_table.c.id > piece[-1].id]

    def _with_pixels(self, pixel_hashes: Collection[str]) -> Iterator[list[ImageRecord]]:
        for batch in batches(sorted(pixel_hashes)):
            with self._database.read() as connection:
                piece = image_records(connection, image_table.c.pixel_hash.in_(batch))
            yield piece

    def mark_pixels_cached(self, pixel_hash: str, cached: bool) -> int:
        """Set `embedding_cached` of every image with these pixels; returns the number of images."""
        if self._database.newer:
            return 0
        with self._database.write(durable=False) as connection:
            return set_cached(connection, cached, image_table.c.pixel_hash == pixel_hash)

    def mark_held(self, pixel_hashes: Collection[str]) -> int:
        """Mark all images with any of these pixels as cached; returns the number of changed ones."""
        if self._database.newer:
            return 0
        unmarked = func.coalesce(image_table.c.embedding_cached, 0) != 1
        with self._database.write(durable=False) as connection:
            wanted = (image_table.c.pixel_hash.in_(batch) for batch in batches(sorted(pixel_hashes)))
            return sum(set_cached(connection, True, unmarked, batch) for batch in wanted)

    def find_image_by_hash(self, content_hash: str) -> dict[str, Any] | None:
        """An image with these bytes, one that is cached if there is one.

        Returns
        -------
        dict or None
            ``id, dataset_id, filename, path, width, height, content_hash, embedding_cached``.
        """
        cached_first = func.coalesce(image_table.c.embedding_cached, 0).desc()
        query = select(*SEED_COLUMNS).select_from(image_table).join(dataset_table)
        query = query.where(image_table.c.content_hash == content_hash).order_by(cached_first, *ORDER).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else {**row, "embedding_cached": bool(row["embedding_cached"])}

    def mark_embedding_cached(self, dataset_id: str, image_id: str, cached: bool) -> None:
        """Set `embedding_cached` of one image. Raises `UnknownName`."""
        this_one = (image_table.c.dataset_id == dataset_id, image_table.c.id == image_id)
        with self._database.write(durable=False) as connection:
            if not set_cached(connection, cached, *this_one):
                known = file_names_near(connection, image_id)
                raise UnknownName(f"image of dataset {dataset_id!r}:", image_id, known)

    def get_cached_images_count(self, dataset_id: str) -> int:
        """Number of cached images of that dataset, by id."""
        with self._database.read() as connection:
            return count_cached(connection, image_table.c.dataset_id == dataset_id)

    # -- inside

    def _known(self, column: Any, values: Collection[str]) -> set[str]:
        with self._database.read() as connection:
            queries = (select(column).where(column.in_(batch)) for batch in batches(sorted(values)))
            return {found for query in queries for found in connection.scalars(query)}

    def _dataset_id(self, connection: Connection, name: str) -> str:
        if not isinstance(name, str):
            raise PromptError(f"dataset: expected a name, a text such as 'monday'; got {name!r}.")
        query = select(dataset_table.c.id).where(dataset_table.c.name == name)
        found = connection.scalar(query)
        if found is None:
            _check_name(name)
            found = uuid4().hex
            connection.execute(dataset_table.insert().values(id=found, name=name, created_at=now()))
        return found

    def _upsert(self, connection: Connection, dataset: str, batch: Sequence[tuple[str, NewImage]]) -> list[ImageRecord]:
        """Write pictures, each with its path; the records are not read back, as no other process writes meanwhile."""
        dataset_id = self._dataset_id(connection, dataset)
        here = image_table.c.dataset_id == dataset_id
        columns = (image_table.c.path, image_table.c.id, image_table.c.position)
        known = select(*columns).where(here, image_table.c.path.in_([path for path, _ in batch]))
        there = {path: (image_id, position) for path, image_id, position in connection.execute(known)}
        last = connection.scalar(select(func.max(image_table.c.position)).where(here))
        position = 0 if last is None else last + 1
        rows = []
        for (path, picture), new_id in zip(batch, new_ids(len(batch)), strict=True):
            image_id, place = there.get(path, (new_id, position))
            position += path not in there
            rows.append({"id": image_id, "dataset_id": dataset_id, "position": place, **image_values(picture, path)})
        self._database.upsert(connection, image_table, rows, key=("dataset_id", "path"), keep=("id", "position"))
        self._database.analyze_if_grown(connection, (last or 0) + 1, position, image_table, file_table)
        return [image_record_of(row, dataset) for row in rows]


def _check_name(name: str) -> None:
    if not name.strip():
        raise PromptError("dataset: expected a name such as 'monday'; got an empty one.")
