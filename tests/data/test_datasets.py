"""Data sets, splits and samplers against PyTorch's."""

from __future__ import annotations

import pytest

import flashlight
from flashlight.utils import data
from tests.data.both import Numbers, in_both, raised_in_both

CALLS = {
    "tensors": lambda t, d: [
        d.TensorDataset(t.arange(6).view(3, 2), t.arange(3))[i] for i in (0, -1, slice(0, 2))
    ],
    "length of tensors": lambda t, d: len(d.TensorDataset(t.arange(6).view(3, 2))),
    "stack": lambda t, d: d.StackDataset(range(3), Numbers(3))[1],
    "stack by name": lambda t, d: d.StackDataset(a=range(3), b=Numbers(3))[1],
    "stack of several": lambda t, d: d.StackDataset(range(3), Numbers(3)).__getitems__([0, 2]),
    "concatenation": lambda t, d: [d.ConcatDataset([range(3), range(5, 9)])[i] for i in (0, 3, -1)],
    "sum of data sets": lambda t, d: [
        *(d.TensorDataset(t.arange(2)) + d.TensorDataset(t.arange(3)))
    ],
    "sizes": lambda t, d: d.ConcatDataset([range(3), range(5, 9)]).cumulative_sizes,
    "subset": lambda t, d: d.Subset(range(10, 20), [3, 1])[1],
    "subset of several": lambda t, d: d.Subset(range(10, 20), [3, 1]).__getitems__([0, 1]),
    "split": lambda t, d: [part.indices for part in d.random_split(range(10), [6, 4])],
    "split by shares": lambda t, d: [
        part.indices for part in d.random_split(range(11), [0.3, 0.3, 0.4])
    ],
    "split with a generator": lambda t, d: [
        part.indices
        for part in d.random_split(range(9), [4, 5], generator=t.Generator().manual_seed(3))
    ],
    "in order": lambda t, d: list(d.SequentialSampler(range(4))),
    "shuffled": lambda t, d: [list(d.RandomSampler(range(30))) for _ in range(2)],
    "shuffled and long": lambda t, d: list(d.RandomSampler(range(7), num_samples=20)),
    "with replacement": lambda t, d: list(
        d.RandomSampler(range(10), replacement=True, num_samples=70)
    ),
    "shuffled by a generator": lambda t, d: list(
        d.RandomSampler(range(9), generator=t.Generator().manual_seed(3))
    ),
    "weighted": lambda t, d: list(d.WeightedRandomSampler([0.1, 0.5, 0.4], 9)),
    "weighted without replacement": lambda t, d: list(
        d.WeightedRandomSampler([0.1, 0.5, 0.4], 3, replacement=False)
    ),
    "of a subset": lambda t, d: list(d.SubsetRandomSampler([3, 4, 5, 9])),
    "batches": lambda t, d: list(d.BatchSampler(d.SequentialSampler(range(7)), 3, False)),
    "full batches": lambda t, d: list(d.BatchSampler(range(7), 3, True)),
    "number of batches": lambda t, d: [
        len(d.BatchSampler(d.SequentialSampler(range(7)), 3, drop)) for drop in (False, True)
    ],
    "the state after sampling": lambda t, d: (list(d.RandomSampler(range(5))), t.rand(2)),
}


@pytest.mark.parametrize("name", CALLS)
def test_results(name):
    expected, actual = in_both(lambda module: CALLS[name](module, module.utils.data))
    assert actual == expected


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_shares_of_several_processes(shuffle, drop_last):
    def shares(module):
        found = []
        for rank in range(3):
            sampler = module.utils.data.DistributedSampler(
                range(11), 3, rank, shuffle=shuffle, seed=4, drop_last=drop_last
            )
            found += [len(sampler), list(sampler)]
            sampler.set_epoch(2)
            found.append(list(sampler))
        return found

    expected, actual = in_both(shares)
    assert actual == expected


ERRORS = {
    "sizes differ": lambda t, d: d.TensorDataset(t.ones(2), t.ones(3)),
    "nothing to concatenate": lambda t, d: d.ConcatDataset([]),
    "index too low": lambda t, d: d.ConcatDataset([range(3)])[-4],
    "parts too small": lambda t, d: d.random_split(range(5), [2, 2]),
    "share out of range": lambda t, d: d.random_split(range(5), [1.5, -0.5]),
    "stack of nothing": lambda t, d: d.StackDataset(),
    "stack of both": lambda t, d: d.StackDataset(range(2), a=range(2)),
    "stack sizes differ": lambda t, d: d.StackDataset(range(2), range(3)),
    "no samples": lambda t, d: d.RandomSampler(range(3), num_samples=0),
    "no number": lambda t, d: d.RandomSampler(range(3), replacement="yes"),
    "batch of zero": lambda t, d: d.BatchSampler(range(3), 0, False),
    "drop_last of three": lambda t, d: d.BatchSampler(range(3), 2, 3),
    "weights in two dimensions": lambda t, d: d.WeightedRandomSampler([[1.0, 2.0]], 2),
    "number of weights": lambda t, d: d.WeightedRandomSampler([1.0], 0),
    "rank too high": lambda t, d: d.DistributedSampler(range(3), 2, 2),
    "iterated and concatenated": lambda t, d: d.ConcatDataset([Stream.of(d)]),
    "not iterable": lambda t, d: iter(d.IterableDataset()),
    "no item": lambda t, d: d.Dataset()[0],
    "length of a set without one": lambda t, d: len(d.Dataset()),
}


class Stream:
    @staticmethod
    def of(d, values=range(3)):
        class Numbers(d.IterableDataset):
            def __iter__(self):
                return iter(values)

        return Numbers()


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    expected, actual = raised_in_both(lambda module: ERRORS[name](module, module.utils.data))
    assert type(actual) is type(expected)
    assert expected is not None


def test_chains():
    chain = Stream.of(data) + Stream.of(data, range(5, 7))
    assert isinstance(chain, data.ChainDataset)
    assert list(chain) == [0, 1, 2, 5, 6]


def test_a_subset_of_a_tensor_data_set_reads_several_at_once():
    subset = data.Subset(data.TensorDataset(flashlight.arange(10)), [4, 2])
    assert [x.item() for (x,) in subset.__getitems__([1, 0])] == [2, 4]


def test_generic_annotations():
    assert data.Dataset[int].__origin__ is data.Dataset
    assert data.DataLoader[int].__origin__ is data.DataLoader
