import io
import sys

from samnb import progress
from samnb.jobs import Event, Job


def finished_job():
    events = [
        Event("skipped", index=1, total=2, filename="a.png"),
        Event("computed", index=2, total=2, filename="b.png", ms=5),
        Event("done", total=2, details={"computed": 1, "skipped": 1, "failed": 0, "cache_size": 2}),
    ]
    job = Job("prewarm", lambda control: iter(events), total=2)
    job.wait(300)
    return job


def test_outside_a_notebook_a_bar_follows_the_job(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert progress.in_notebook() is False
    bar = progress.show_bar(finished_job())
    assert bar.n == 2
    assert "2/2" in terminal.getvalue()
    assert "computed: 1, skipped: 1" in terminal.getvalue()


def test_the_bar_is_silent_where_there_is_no_terminal(capsys):
    progress.show_job(finished_job())
    assert capsys.readouterr().err == ""


def test_a_kernel_gets_the_widget(monkeypatch):
    import types

    shown = []
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "samnb.widgets", types.SimpleNamespace(show_progress=shown.append))
    job = finished_job()
    progress.show_job(job)
    assert shown == [job]
