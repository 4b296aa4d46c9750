"""Many images on many workers: the threads or processes of an executor, or a Dask cluster.

A `Coordinator` gives each worker bundles of images, has bundles of a lost one done by others, and yields results. It
knows neither models nor catalogs: what is done with a bundle is a `Work` of the package that calls it. This package is
no engine; it uses one that runs already.
"""

from .bundle import Done, Work, attempt, stop_run
from .coordinator import Coordinator
from .opening import open_pool
from .pool import Pool
from .shard import Shard

__all__ = ["Coordinator", "Done", "Pool", "Shard", "Work", "attempt", "open_pool", "stop_run"]
