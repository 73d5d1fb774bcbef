"""Which of equal elements a selection takes: PyTorch's partitions, retraced on the host.

PyTorch selects with ATen's quickselect and, on Linux, with libstdc++'s nth_element, sort and
partial_sort; all of them leave equal elements in an order that follows from their steps. A
function here takes the `ranks` of the elements (equal ones share theirs, smaller ones come first)
and returns positions. Each pass over the elements is a few calls of NumPy.
"""

from __future__ import annotations

import numpy as np

#: Up to here libstdc++ sorts by insertion, which is stable.
INSERTION = 16


def kth(ranks: np.ndarray, k: int) -> int:
    """Where the k-th smallest element is found (k from 0), by ATen's quickselect."""
    ranks, order = ranks.copy(), np.arange(len(ranks))
    left, right = 0, len(ranks) - 1
    while right > left:
        if right == left + 1:
            _order_pair(ranks, order, left, right)
            break
        _swap(ranks, order, left + (right - left) // 2, left + 1)
        for low, high in ((left + 1, right), (left, right), (left + 1, left)):
            _order_pair(ranks, order, low, high)
        pivot = ranks[left]
        rising = np.flatnonzero(ranks[left + 2:right + 1] >= pivot) + left + 2
        falling = np.flatnonzero(ranks[left + 1:right] <= pivot)[::-1] + left + 1
        count = _exchange(ranks, order, rising, falling, np.less_equal)
        # Elements that were exchanged stop the pointers too.
        met = count - (count > 0 and rising[count - 1] == falling[count - 1])
        end = int(max((*falling[count:count + 1], *rising[max(met - 1, 0):met], left)))
        start = int(min((*rising[count:count + 1], *falling[max(met - 1, 0):met], right)))
        _swap(ranks, order, left, end)
        if end <= k:
            left = start
        if end >= k:
            right = end - 1
    return int(order[k])


def first(ranks: np.ndarray, k: int) -> np.ndarray:
    """The positions of the k smallest elements in order, as `topk` finds them."""
    n = len(ranks)
    if k * 64 <= n:
        return _by_heap(ranks, k)
    ranks, order = ranks.copy(), np.arange(n)
    low, high, limit = 0, n, _depth(n)
    while high - low > 3 and limit:
        limit -= 1
        cut = _halves(ranks, order, low, high)
        low, high = (cut, high) if cut <= k - 1 else (low, cut)
    _insert(ranks, order, low, high)
    _sort(ranks, order, 0, k - 1)
    return order[:k]


def sort(ranks: np.ndarray) -> np.ndarray:
    """The positions of all elements in order, as std::sort finds them."""
    ranks, order = ranks.copy(), np.arange(len(ranks))
    _sort(ranks, order, 0, len(ranks))
    return order


def _sort(ranks, order, low, high):
    parts = [(low, high, _depth(high - low))]
    while parts:
        start, end, limit = parts.pop()
        while end - start > INSERTION and limit:
            limit -= 1
            cut = _halves(ranks, order, start, end)
            parts.append((cut, end, limit))
            end = cut
    _insert(ranks, order, low, high)


def _depth(count):
    return 2 * (count.bit_length() - 1) if count else 0


def _insert(ranks, order, low, high):
    stable = np.argsort(ranks[low:high], kind="stable")
    ranks[low:high], order[low:high] = ranks[low:high][stable], order[low:high][stable]


def _halves(ranks, order, low, high):
    """Partition [low, high) around the median of three; return where the second half begins."""
    middle = low + (high - low) // 2
    a, b, c = ranks[low + 1], ranks[middle], ranks[high - 1]
    if a < b:
        chosen = middle if b < c else high - 1 if a < c else low + 1
    else:
        chosen = low + 1 if a < c else high - 1 if b < c else middle
    _swap(ranks, order, low, chosen)
    pivot, part = ranks[low], ranks[low + 1:high]
    rising = np.flatnonzero(part >= pivot) + low + 1
    falling = np.flatnonzero(part <= pivot)[::-1] + low + 1
    count = _exchange(ranks, order, rising, falling, np.less)
    return int(min((*rising[count:count + 1], *falling[max(count - 1, 0):count])))


def _exchange(ranks, order, rising, falling, before):
    """Exchange where two pointers stop, one from each end, until they meet; return how often."""
    pairs = min(len(rising), len(falling))
    count = int(np.count_nonzero(before(rising[:pairs], falling[:pairs])))
    _swap(ranks, order, rising[:count], falling[:count])
    return count


def _swap(ranks, order, a, b):
    for values in (ranks, order):
        values[a], values[b] = np.copy(values[b]), np.copy(values[a])


def _order_pair(ranks, order, low, high):
    if ranks[low] > ranks[high]:
        _swap(ranks, order, low, high)


def _by_heap(ranks, k):
    """std::partial_sort: a heap of the k best so far, its root the worst of them."""
    heap = [(int(ranks[i]), i) for i in range(k)]
    for parent in range((k - 2) // 2, -1, -1):
        _sift(heap, parent, k, heap[parent])
    # Only elements below the root enter, and the root never rises.
    for i in np.flatnonzero(ranks[k:] < heap[0][0]) + k:
        if ranks[i] < heap[0][0]:
            _sift(heap, 0, k, (int(ranks[i]), int(i)))
    for last in range(k - 1, 0, -1):
        value, heap[last] = heap[last], heap[0]
        _sift(heap, 0, last, value)
    return np.array([i for _, i in heap])


def _sift(heap, hole, count, value):
    """Let `value` sink from `hole` to the bottom and rise again, as std::__adjust_heap does."""
    top = hole
    child = 2 * hole + 2
    while child < count:
        if heap[child][0] < heap[child - 1][0]:
            child -= 1
        heap[hole], hole = heap[child], child
        child = 2 * hole + 2
    if child == count:
        heap[hole], hole = heap[child - 1], child - 1
    while hole > top and heap[(hole - 1) // 2][0] < value[0]:
        heap[hole], hole = heap[(hole - 1) // 2], (hole - 1) // 2
    heap[hole] = value
