"""Checkpoints that keep the results of some operations, and logs of the operations in them."""

from __future__ import annotations

import enum
import threading
import traceback
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import flashlight as torch
from flashlight._ops import interception, transfer
from flashlight.utils._pytree import tree_leaves

#: Operations that a policy is not asked about.
SAC_IGNORED_OPS = {torch.detach}


class CheckpointPolicy(enum.Enum):
    """What becomes of an operation's result. Without a compiler, "prefer" means "must"."""

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_SAVING = (
    CheckpointPolicy.MUST_SAVE,
    CheckpointPolicy.PREFER_SAVE,
    CheckpointPolicy.MUST_CPU_OFFLOAD,
    CheckpointPolicy.PREFER_CPU_OFFLOAD,
)


class SelectiveCheckpointContext:
    """What a policy is told besides the call: the result, and that this is the first run."""

    def __init__(self, *, is_recompute: bool, op_output: Any = None) -> None:
        self.is_recompute = is_recompute
        self.op_output = op_output


class _Watch:
    """A context that sees its thread's calls of operations, those inside of others excepted."""

    def __init__(self) -> None:
        self._thread: int | None = None
        self._inside = False

    def __enter__(self) -> _Watch:
        self._thread = threading.get_ident()
        interception.want(self._intercept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        interception.release(self._intercept)
        self._thread = None

    def _intercept(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        if self._inside or threading.get_ident() != self._thread or function in SAC_IGNORED_OPS:
            return proceed(args, kwargs)
        self._inside = True
        try:
            return self.see(function, proceed, args, kwargs)
        finally:
            self._inside = False

    def see(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        """Return the result of a call."""
        raise NotImplementedError


class _Kept:
    """Results of the first run: for each operation, by the number of the call, the tensors."""

    def __init__(self) -> None:
        self.results: defaultdict[Callable, list] = defaultdict(list)


class _Saving(_Watch):
    """The first run: keeps what the policy says."""

    def __init__(self, policy: Callable, kept: _Kept) -> None:
        super().__init__()
        self.policy = policy
        self.kept = kept

    def see(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        """Run the operation and ask what becomes of its result."""
        result = proceed(args, kwargs)
        context = SelectiveCheckpointContext(is_recompute=False, op_output=result)
        policy = self.policy(context, function, *args, **kwargs)
        if isinstance(policy, bool):
            saves = policy
        else:
            saves = policy in _SAVING
        tensors = None
        if saves:
            tensors = [
                (leaf.detach(), leaf._version)
                for leaf in tree_leaves(result)
                if isinstance(leaf, torch.Tensor)
            ]
        self.kept.results[function].append(tensors)
        return result


_USED = object()


class _Reusing(_Watch):
    """The second run: results that were kept take the place of new ones.

    An operation still runs, since autograd must record it, but what nobody reads is never
    evaluated: the kept data replaces the lazy result.
    """

    def __init__(self, kept: _Kept, allow_cache_entry_mutation: bool) -> None:
        super().__init__()
        self.kept = kept
        self.allow_cache_entry_mutation = allow_cache_entry_mutation
        self.counts: defaultdict[Callable, int] = defaultdict(int)

    def __enter__(self) -> _Watch:
        self.counts.clear()
        return super().__enter__()

    def see(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        """Run the operation, and give its result the data of the first run."""
        entries = self.kept.results[function]
        number = self.counts[function]
        self.counts[function] += 1
        if number >= len(entries):
            raise RuntimeError(
                f"{function.__name__} encountered during backward but not found in storage. This "
                "can happen if the operations in the checkpointed region are nondeterministic or "
                "depend on global state that changed between forward and backward."
            )
        kept = entries[number]
        if kept is _USED:
            raise RuntimeError(
                "Trying to backward an extra time. You are only allowed to backward once on any "
                "region computed under selective activation checkpoint."
            )
        result = proceed(args, kwargs)
        if kept is None:
            return result
        entries[number] = _USED
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        for tensor, (source, version) in zip(leaves, kept, strict=True):
            if source._version != version and not self.allow_cache_entry_mutation:
                raise RuntimeError(
                    "Tensor cached during selective activation checkpoint has been mutated"
                )
            transfer.take_data(tensor, source)
        return result


def create_selective_checkpoint_contexts(
    policy_fn_or_list: Callable | list, allow_cache_entry_mutation: bool = False
) -> tuple[_Watch, _Watch]:
    """Return the contexts of a checkpoint that keeps the results of some operations.

    They are listed as functions (``torch.matmul``), or a policy (context, function, *args) →
    CheckpointPolicy says which. Raises ValueError for what is no function, TypeError for neither.
    """
    if isinstance(policy_fn_or_list, list):
        listed = policy_fn_or_list
        for operation in listed:
            if not callable(operation):
                raise ValueError(
                    f"Expected op in `op_list` to be a function but got: {operation} of type "
                    f"{type(operation)}."
                )
        policy: Callable = lambda context, function, *args, **kwargs: function in listed
    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    kept = _Kept()
    return _Saving(policy, kept), _Reusing(kept, allow_cache_entry_mutation)


class OperationLog(_Watch):
    """The operations that ran, with where they were called."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, list[str]]] = []

    def see(self, function: Callable, proceed: Callable, args: tuple, kwargs: dict) -> Any:
        """Take note of a call."""
        shapes = [list(arg.shape) for arg in tree_leaves(args) if isinstance(arg, torch.Tensor)]
        frames = [
            f"{frame.filename}:{frame.lineno}:{frame.name}"
            for frame in traceback.extract_stack()[-12:]
            if "/flashlight/_ops/" not in frame.filename
        ]
        self.entries.append((f"{function.__name__}({', '.join(map(str, shapes))})", frames))
        return proceed(args, kwargs)

    def text(self, label: str) -> str:
        """Return the calls, one after the other."""
        return "\n\n".join(
            f"{name}   ({number} of {len(self.entries)} in {label})\n" + "\n".join(frames)
            for number, (name, frames) in enumerate(self.entries, 1)
        )
