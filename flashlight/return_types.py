"""The named tuples that operations return, as `torch.return_types`."""

from ._ops.return_types import ALL

globals().update(ALL)
all_return_types = list(ALL.values())
__all__ = [*ALL, "all_return_types"]  # noqa: PLE0604  (the keys are strings)
