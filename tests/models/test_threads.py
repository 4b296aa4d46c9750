import os
import threading
import time

import pytest
import torch

from samnb.models.devices import on_threads
from samnb.models.threads import side_by_side
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("threads", "each"), [(1, [1]), (2, [1, 1]), (3, [1, 1, 1]), (6, [1, 1, 2, 2]), (17, [4, 4, 4, 5])]
)
def test_every_piece_once_by_as_many_threads_as_torch_has(threads: int, each: list[int]) -> None:
    done, seen, together = [], set(), threading.Barrier(len(each), timeout=300)

    def work(piece: int) -> None:
        if piece < len(each):
            together.wait()  # fails unless so many threads take pieces
        done.append(piece)
        seen.add((threading.get_ident(), torch.get_num_threads()))

    with on_threads(threads):
        side_by_side(work, range(20))
        assert torch.get_num_threads() == threads
    assert sorted(done) == list(range(20))
    assert sorted(count for _, count in seen) == each


def test_new_threads_have_the_callers_count_afterwards() -> None:
    counts: list[int] = []
    with on_threads(3):
        side_by_side(lambda _: None, range(3))
        thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        thread.start()
        thread.join()
    assert counts == [3]


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_pieces_are_computed_in_the_mode_of_the_caller(mode: type) -> None:
    x = torch.nn.Parameter(torch.ones(2, 3))
    found = []
    with on_threads(2), mode():
        side_by_side(lambda row: found.append((x[row] * 2).is_inference() or x[row].mul(2).requires_grad), range(2))
    assert found == [mode is torch.inference_mode] * 2


def test_a_thread_that_is_held_up_does_not_hold_up_the_others() -> None:
    done: dict[int, list[int]] = {}

    def work(piece: int) -> None:
        if piece == 0:
            wait_until("the other has done the rest", lambda: sum(map(len, done.values())) == 9)
        done.setdefault(threading.get_ident(), []).append(piece)

    with on_threads(2):
        side_by_side(work, range(10))
    assert sorted(map(len, done.values())) == [1, 9]


def test_an_error_of_a_piece_is_raised_when_none_runs_any_more() -> None:
    done = []

    def work(piece: int) -> None:
        if piece == 0:
            raise ValueError("piece 0")
        time.sleep(0.2)
        done.append(piece)

    with on_threads(2):
        with pytest.raises(ValueError, match="piece 0"):
            side_by_side(work, range(50))
        ended = len(done)
        time.sleep(0.5)
    assert len(done) == ended < 49


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    with on_threads(2):
        side_by_side(lambda _: None, range(4))
        child = os.fork()
        if not child:
            done: list[int] = []
            side_by_side(done.append, range(4))
            os._exit(0 if sorted(done) == [0, 1, 2, 3] else 1)
    deadline = time.monotonic() + 300
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert ended[1] == 0
