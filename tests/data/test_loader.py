"""The loader in one process: orders, random numbers and errors are PyTorch's."""

from __future__ import annotations

import warnings

import pytest

import flashlight
from flashlight.utils import data
from tests.data.both import MODULES, Numbers, in_both, plain, raised_in_both

OPTIONS = {
    "plain": {},
    "shuffled": {"shuffle": True},
    "full batches": {"shuffle": True, "drop_last": True, "batch_size": 3},
    "one by one": {"batch_size": None},
    "one by one, shuffled": {"batch_size": None, "shuffle": True},
    "larger batches": {"batch_size": 4},
    "own collation": {"batch_size": 4, "collate_fn": sum},
}


@pytest.mark.parametrize("generator", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_orders_and_the_generators_after(name, generator):
    def run(module):
        options = dict(OPTIONS[name])
        if generator:
            options["generator"] = module.Generator().manual_seed(3)
        loader = module.utils.data.DataLoader(Numbers(10), **options)
        epochs = [list(loader) for _ in range(3)]
        return epochs, len(loader), module.rand(2), module.rand(2, generator=loader.generator)

    expected, actual = in_both(run)
    assert actual == expected


def test_samplers_in_the_place_of_batches():
    def run(module):
        d = module.utils.data
        sampler = d.WeightedRandomSampler([0.2, 0.3, 0.5], 8)
        return [
            list(d.DataLoader(Numbers(3), sampler=sampler, batch_size=3)),
            list(d.DataLoader(Numbers(9), batch_sampler=[[0, 8], [3]])),
            len(d.DataLoader(Numbers(9), batch_sampler=[[0, 8], [3]])),
        ]

    expected, actual = in_both(run)
    assert actual == expected


def test_streams():
    def run(module):
        class Stream(module.utils.data.IterableDataset):
            def __iter__(self):
                return iter(module.arange(7))

            def __len__(self):
                return 5

        found = []
        full = {"batch_size": 3, "drop_last": True}
        for options in ({"batch_size": 3}, full, {"batch_size": None}):
            loader = module.utils.data.DataLoader(Stream(), **options)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found += [list(loader), len(loader), list(loader)]
            found.append([w.category.__name__ for w in caught])
        return found

    expected, actual = in_both(run)
    assert actual == expected


def test_several_items_at_once():
    class Several(Numbers):
        def __getitems__(self, indices):
            return [index * 10 for index in indices]

    assert plain(list(data.DataLoader(Several(4), batch_size=2))) == [[0, 10], [20, 30]]


def test_dictionaries_and_nested_samples():
    def run(module):
        class Samples(Numbers):
            def __getitem__(self, index):
                return {"x": module.full((2,), float(index)), "meta": (index, str(index))}

        return list(module.utils.data.DataLoader(Samples(4), batch_size=2))

    expected, actual = in_both(run)
    assert actual == expected


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"num_workers": 1, "prefetch_factor": -2},
        {"persistent_workers": True},
        {"sampler": [0], "shuffle": True},
        {"batch_sampler": [[0]], "shuffle": True},
        {"batch_sampler": [[0]], "batch_size": 2},
        {"batch_size": None, "drop_last": True},
        {"batch_size": 0},
        {"multiprocessing_context": "zzz", "num_workers": 1},
        {"multiprocessing_context": 3, "num_workers": 1},
        {"multiprocessing_context": "fork"},
        {"num_workers": 1.5},
        {"worker_init_fn": 3, "num_workers": 0},
    ],
    ids=str,
)
def test_wrong_options(options):
    expected, actual = raised_in_both(
        lambda module: module.utils.data.DataLoader(Numbers(4), **options)
    )
    assert type(actual) is type(expected)


def test_wrong_options_of_streams():
    def run(module, options):
        class Stream(module.utils.data.IterableDataset):
            def __iter__(self):
                return iter(range(3))

        module.utils.data.DataLoader(Stream(), **options)

    for options in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        expected, actual = raised_in_both(lambda module, o=options: run(module, o))
        assert type(actual) is type(expected) is ValueError


def test_what_may_not_change_later():
    for module in MODULES:
        loader = module.utils.data.DataLoader(Numbers(4))
        with pytest.raises(ValueError, match="batch_size"):
            loader.batch_size = 3
    loader.timeout = 3


def test_pinning_without_an_accelerator_warns():
    if flashlight.accelerator.is_available():
        pytest.skip("there is an accelerator")
    loader = data.DataLoader(Numbers(2), pin_memory=True)
    with pytest.warns(UserWarning, match="pin_memory"):
        assert plain(list(loader)) == [[0], [1]]


def test_errors_come_out_as_they_are():
    class Broken(Numbers):
        def __getitem__(self, index):
            raise KeyError("not here")

    with pytest.raises(KeyError, match=r"^'not here'$"):
        next(iter(data.DataLoader(Broken(3))))
