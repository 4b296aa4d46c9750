"""`DatasetCounts`: how far the annotation of each dataset is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..cards import html_table
from ..catalog import Catalog
from ..records import DONE, EMPTY, SKIP


@dataclass(frozen=True)
class DatasetCounts:
    """The numbers of one dataset.

    Attributes
    ----------
    dataset : str
    images : int
    annotated : int
        Images with annotations.
    done, empty, skip : int
        Images that a person gave this state.
    annotations : int
        Without rejected ones.
    categories : mapping of str to int
        Annotations by category.
    """

    dataset: str
    images: int
    annotated: int = 0
    done: int = 0
    empty: int = 0
    skip: int = 0
    annotations: int = 0
    categories: Mapping[str, int] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """Images without a state."""
        return self.images - self.done - self.empty - self.skip


class Counts(list[DatasetCounts]):
    """The numbers of several datasets, shown as a table."""

    def _repr_html_(self) -> str:
        names = list(dict.fromkeys(name for each in self for name in each.categories))
        head = ("dataset", "images", "open", "done", "empty", "skip", "annotations", *names)
        rows = [
            (
                c.dataset,
                c.images,
                c.open,
                c.done,
                c.empty,
                c.skip,
                c.annotations,
                *(c.categories.get(n, 0) for n in names),
            )
            for c in self
        ]
        return html_table(head, rows)


def counts_of(catalog: Catalog, dataset: str | None = None) -> Counts:
    """The numbers of all datasets, or of one. Raises `UnknownName` where there is none of that name."""
    datasets: Iterable = catalog.datasets() if dataset is None else [catalog.dataset(dataset)]
    states, categories = catalog.count_states(), catalog.count_categories()
    found = Counts()
    for record in datasets:
        of_state, of_category = states.get(record.name, {}), categories.get(record.name, {})
        found.append(
            DatasetCounts(
                dataset=record.name,
                images=record.images,
                annotated=len(catalog.count_annotations(dataset=record.name)),
                done=of_state.get(DONE, 0),
                empty=of_state.get(EMPTY, 0),
                skip=of_state.get(SKIP, 0),
                annotations=sum(of_category.values()),
                categories=of_category,
            )
        )
    return found
