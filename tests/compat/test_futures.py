"""torch.futures against PyTorch's."""

from __future__ import annotations

import copy
import threading

import pytest
import torch as reference

import flashlight as torch

BOTH = pytest.mark.parametrize("lib", [torch, reference], ids=["flashlight", "torch"])


@BOTH
def test_a_value_is_set_once_and_passed_on(lib):
    future = lib.futures.Future()
    doubled = future.then(lambda done: done.value() * 2)
    seen = []
    future.add_done_callback(lambda done: seen.append(done.wait()))
    assert not future.done() and not doubled.done()
    with pytest.raises(RuntimeError):
        future.value()
    setter = threading.Timer(0.05, future.set_result, [21])
    setter.start()
    assert future.wait() == 21 and doubled.wait() == 42
    setter.join()
    assert seen == [21]
    with pytest.raises(RuntimeError, match="can only be marked completed once"):
        future.set_result(3)
    with pytest.raises(RuntimeError, match="Got the following error when running the callback: Zer"):
        future.then(lambda done: 1 / 0).wait()
    with pytest.raises(TypeError):
        future.then(3)
    with pytest.raises(RuntimeError, match="Can not pickle"):
        copy.copy(future)


@BOTH
def test_errors_are_raised_where_the_value_is_read(lib):
    future = lib.futures.Future()
    with pytest.raises(AssertionError, match="not an Exception"):
        future.set_exception("text")
    future.set_exception(ValueError("lost"))
    assert future.done()
    for read in (future.wait, future.value):
        with pytest.raises(ValueError, match="lost"):
            read()
    with pytest.raises(ValueError, match="have indices"):
        lib.futures.Future(devices=["cpu"])


@BOTH
def test_several_are_waited_for(lib):
    first, second = lib.futures.Future(), lib.futures.Future()
    together = lib.futures.collect_all([first, second])
    first.set_result(1)
    assert not together.done()
    second.set_result(2)
    assert [future.value() for future in together.wait()] == [1, 2]
    assert lib.futures.wait_all([first, second]) == [1, 2]
    assert lib.futures.collect_all([]).wait() == []
    with pytest.raises(TypeError):
        lib.futures.collect_all([1])


@BOTH
def test_fork_runs_at_once(lib):
    future = lib.fork(lambda a, b: a + b, 1, 2)
    assert isinstance(future, lib.Future) and future.done() and lib.wait(future) == 3


def test_an_error_of_a_callback_is_logged(caplog):
    future = torch.futures.Future()
    future.set_result(1)
    future.add_done_callback(lambda done: 1 / 0)
    assert "ZeroDivisionError" in caplog.text
