"""Settings of `torch.compile`, as attributes: `torch.compiler.config.recompile_limit = 16`.

Those of PyTorch's compiler that mean nothing to MLX's are missing: reading or setting one raises
AttributeError.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["fail_on_recompile_limit_hit", "recompile_limit"]

#: how many kinds of calls a function is compiled for
recompile_limit: int = 8
#: whether the next kind raises RuntimeError, instead of running uncompiled with a warning
fail_on_recompile_limit_hit: bool = False


@contextmanager
def patch(changes: dict[str, Any] | str | None = None, value: Any = None, **settings: Any):
    """Change settings inside of a `with` or a function: `patch(recompile_limit=3)`.

    Raises AttributeError for unknown ones.
    """
    if isinstance(changes, str):
        settings[changes] = value
    elif changes is not None:
        settings.update(changes)
    module = sys.modules[__name__]
    before = {name: getattr(module, name) for name in settings}
    try:
        for name, setting in settings.items():
            setattr(module, name, setting)
        yield
    finally:
        for name, setting in before.items():
            setattr(module, name, setting)


class _Settings(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        if name not in __all__ and not name.startswith("__"):
            raise AttributeError(f"torch.compiler.config.{name} does not exist: MLX's compiler has "
                                 f"no such setting, only {', '.join(__all__)}")
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Settings
