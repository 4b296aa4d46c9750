"""Without Dask installed, all but a cluster works, and the error says what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support import plugin_env

_PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import samnb
from samnb.errors import PackageMissing
from tests.workers.conftest import pictures

folder = Path(sys.argv[1])
with samnb.Session(folder / "session", model="counting") as session, ThreadPoolExecutor(2) as threads:
    assert session.add(pictures(folder / "pictures", 6), show=False).added == 6
    assert session.prewarm(images=["0000.png"], show=False).wait(300)["computed"] == 1
    assert session.prewarm(on=threads, show=False).wait(300)["computed"] == 5
    session.accept(session.predict("0000.png", points=[(3, 3)]), category="dot")
    assert session.apply(session.template("dot"), show=False).wait(300)["failed"] == 0
    session.export("coco", folder / "a.json")
    try:
        session.prewarm(on="tcp://127.0.0.1:9", show=False).wait(300)
    except PackageMissing as error:
        print(error)
assert not any(name.partition(".")[0] in ("dask", "distributed") for name in sys.modules)
"""


def test_the_main_job_runs_without_dask(tmp_path: Path) -> None:
    environment = dict(os.environ)
    plugin_env.install(tmp_path / "models", environment)
    environment.pop("SAMNB_TEST_LOG", None)
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "distributed" in done.stdout
    assert "pip install" in done.stdout
