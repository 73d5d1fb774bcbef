"""Pipes of data: functions as methods, hooks, decorators, seeds and shards, beside PyTorch's."""

from __future__ import annotations

import importlib
import pickle

import pytest

import flashlight
from tests.autograd.agree import check, own_words, programs_of


def _pipes(library):
    l = importlib.import_module(f"{library.__name__}.utils.data")

    class Numbers(l.IterDataPipe):
        def __init__(self, count=4):
            self.count = count

        def __iter__(self):
            return iter(range(self.count))

    class Doubled(l.IterDataPipe):
        def __init__(self, source, times=2):
            self.source, self.times = source, times

        def __iter__(self):
            return (value * self.times for value in self.source)

    class Table(l.MapDataPipe):
        def __init__(self, values):
            self.values = values

        def __getitem__(self, index):
            return self.values[index]

        def __len__(self):
            return len(self.values)

    return l, Numbers, Doubled, Table


def _decorators(library):
    return importlib.import_module(f"{library.__name__}.utils.data.datapipes._decorator")


def _clean(kind, *names):
    for name in names:
        kind.functions.pop(name, None)


def functions_as_methods(l):
    data, Numbers, Doubled, Table = _pipes(l)
    try:
        data.functional_datapipe("doubled_here")(Doubled)
        data.functional_datapipe("table_here")(Table)
        data.IterDataPipe.register_function("count_here", lambda pipe, more: len(list(pipe)) + more)
        pipe = Numbers(3)
        found = [list(pipe.doubled_here()), list(pipe.doubled_here(times=3).doubled_here())]
        found += [pipe.count_here(2), "doubled_here" in dir(pipe), list(Table([1]).table_here())]
        found += [hasattr(pipe, "table_here"), hasattr(Table([1]), "doubled_here")]
        return found
    finally:
        _clean(data.IterDataPipe, "doubled_here", "count_here")
        _clean(data.MapDataPipe, "table_here")


@own_words
def a_name_twice(l):
    data, _, Doubled, _ = _pipes(l)
    try:
        data.functional_datapipe("twice_here")(Doubled)
        data.functional_datapipe("twice_here")(Doubled)
    finally:
        _clean(data.IterDataPipe, "twice_here")


@own_words
def no_such_method(l):
    return _pipes(l)[1]().nothing_here()


def texts(l):
    _, Numbers, _, Table = _pipes(l)
    return [repr(Numbers())[-7:], str(Table([]))[-5:]]


def texts_by_hooks(l):
    _, Numbers, _, _ = _pipes(l)
    Numbers.repr_hook = staticmethod(lambda pipe: "a repr")
    Numbers.str_hook = staticmethod(lambda pipe: "a text")
    return [repr(Numbers()), str(Numbers())]


def state_hooks(l):
    data, Numbers, _, _ = _pipes(l)
    try:
        data.IterDataPipe.set_getstate_hook(lambda state: {**state, "hooked": True})
        found = [Numbers().__getstate__()]
        with pytest.raises(RuntimeError):
            data.IterDataPipe.set_getstate_hook(lambda state: state)
    finally:
        data.IterDataPipe.set_getstate_hook(None)
    return [*found, Numbers().__getstate__()]


def _unhooked(pipe):
    raise NotImplementedError


def reduce_hooks(l):
    data, _, _, _ = _pipes(l)
    kind = importlib.import_module(f"{l.__name__}.utils.data.datapipes.datapipe")
    pipe = kind._IterDataPipeSerializationWrapper([1, 2])
    try:
        data.IterDataPipe.set_reduce_ex_hook(lambda pipe: (list, ((7,),)))
        found = [pickle.loads(pickle.dumps(pipe))]
        with pytest.raises(RuntimeError):
            data.IterDataPipe.set_reduce_ex_hook(_unhooked)
        data.IterDataPipe.set_reduce_ex_hook(None)
        data.IterDataPipe.set_reduce_ex_hook(_unhooked)
        return [*found, list(pickle.loads(pickle.dumps(pipe)))]
    finally:
        data.IterDataPipe.set_reduce_ex_hook(None)


def wrappers(l):
    kind = importlib.import_module(f"{l.__name__}.utils.data.datapipes.datapipe")
    items = kind._MapDataPipeSerializationWrapper([4, 5])
    stream = pickle.loads(pickle.dumps(kind._IterDataPipeSerializationWrapper([1, 2])))
    with pytest.raises(TypeError):
        len(kind._IterDataPipeSerializationWrapper(iter([])))
    return [items[1], len(items), list(stream), len(stream)]


def frames(l):
    return importlib.import_module(f"{l.__name__}.utils.data").DFIterDataPipe()._is_dfpipe()


def a_stream_is_its_own_iterator(l):
    data = importlib.import_module(f"{l.__name__}.utils.data")

    class Once(data.IterDataPipe):
        def __next__(self):
            raise StopIteration

    return [list(Once()), Once().reset()]


def non_deterministic(l):
    decorators = _decorators(l)
    _, Numbers, _, Table = _pipes(l)
    always = decorators.non_deterministic(Numbers)
    sometimes = decorators.non_deterministic(lambda count: count > 2)(_pipes(l)[1])
    found = [list(always(2)), list(sometimes(3))]
    with decorators.guaranteed_datapipes_determinism():
        for call in (lambda: always(2), lambda: list(sometimes(1)), lambda: sometimes(3)):
            try:
                found.append(call())
            except TypeError as error:
                found.append(str(error).partition(" ")[0])
    found.append(list(always(1)))
    for call in (
        lambda: decorators.non_deterministic(Table),
        lambda: decorators.non_deterministic(3),
        lambda: decorators.non_deterministic(lambda: 1)(Numbers)(),
        lambda: decorators.non_deterministic(lambda: True)(int),
    ):
        try:
            call()
        except TypeError:
            found.append("TypeError")
    return found


class _Settings:
    def __init__(self, l):
        data = importlib.import_module(f"{l.__name__}.utils.data")
        self.module = importlib.import_module(f"{l.__name__}.utils.data.graph_settings")

        class Part(data.IterDataPipe):
            def __init__(self, *sources):
                self.sources = sources
                self.seen = {}

            def __iter__(self):
                return iter(())

            def set_seed(self, seed):
                self.seen["seed"] = isinstance(seed, int)
                return self

            def set_shuffle(self, on):
                self.seen["shuffle"] = on
                return self

            def apply_sharding(self, count, index, *group):
                self.seen["shard"] = (count, index)

            def is_shardable(self):
                return True

        self.Part = Part


def shuffles(l):
    made = _Settings(l)
    pipe = made.Part()
    made.module.apply_shuffle_settings(pipe, None)
    return pipe.seen


PROGRAMS = programs_of(globals())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_agrees_with_pytorch(program):
    check(program)


def test_seeds_and_shuffles_reach_every_pipe():
    from flashlight.utils.data.datapipes import settings

    made = _Settings(flashlight)
    inner = made.Part()
    outer = made.Part({"a": [inner]})
    settings.apply_random_seed(outer, flashlight.Generator())
    settings.apply_shuffle_settings(outer, True)
    settings.apply_sharding(outer, 4, 2)
    assert inner.seen == outer.seen == {"seed": True, "shuffle": True, "shard": (4, 2)}
    assert list(settings.pipes_in([outer, 3, {inner}])) == [outer, inner]


def _sharded_stream():
    class Stream(flashlight.utils.data.IterDataPipe):
        def __init__(self):
            self.share = (1, 0)

        def apply_sharding(self, count, index):
            self.share = (count, index)

        def __iter__(self):
            return iter(range(self.share[1], 8, self.share[0]))

    return Stream()


def test_workers_share_a_pipe():
    loader = flashlight.utils.data.DataLoader(
        _sharded_stream(), batch_size=None, num_workers=2, multiprocessing_context="fork"
    )
    assert sorted(loader) == list(range(8))


def test_arguments_that_are_pipes():
    l = flashlight
    decorators = _decorators(l)
    data, Numbers, _, _ = _pipes(l)

    def take(pipe, count=1):
        assert list(pipe)[:count] == [0, 1]

    take.__annotations__ = {"pipe": data.IterDataPipe, "count": int}
    checked = decorators.argument_validation(take)
    with pytest.raises(TypeError, match="IterDataPipe"):
        checked([1, 2])
    return checked(Numbers(), 2)


def test_samples_of_the_declared_type():
    l = flashlight
    decorators = _decorators(l)
    data = _pipes(l)[0]

    class Mixed(data.IterDataPipe[int]):
        @decorators.runtime_validation
        def __iter__(self):
            yield from (1, 2, "three")

    found = []
    try:
        for sample in Mixed():
            found.append(sample)
    except RuntimeError as error:
        found.append("Expected an instance" in str(error))
    with decorators.runtime_validation_disabled():
        found.append(list(Mixed()))
    with pytest.raises(TypeError):
        decorators.runtime_validation(len)
    assert found == [1, 2, True, [1, 2, "three"]]


def test_shards():
    l = flashlight
    made = _Settings(l)
    inner = made.Part()
    outer = made.Part([inner])
    made.module.apply_sharding(outer, 3, 1)
    assert [outer.seen or inner.seen] == [{"shard": (3, 1)}]


def test_collates_by_itself():
    l = flashlight
    data = importlib.import_module(f"{l.__name__}.utils.data")
    _, Numbers, Doubled, Table = _pipes(l)
    streams = data.DataLoader(Doubled(Numbers(5)), batch_size=2)
    table = data.DataLoader(Table(list(range(4))), batch_size=3)
    assert [[batch.tolist() for batch in streams], [batch.tolist() for batch in table]] == [
        [[0, 2], [4, 6], [8]],
        [[0, 1, 2], [3]],
    ]
