"""What holds for all compiled functions."""

from __future__ import annotations

MODES = ("default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
#: PyTorch's name for its default is understood as MLX, whose compiler is the only one there is.
EAGER_BACKENDS = ("eager", "aot_eager")
BACKENDS = ("mlx", "inductor", *EAGER_BACKENDS)

default_backend = ["inductor"]


class Stance:
    """What compiled functions do: compile, or not."""

    NAMES = ("default", "force_eager", "eager_on_recompile", "fail_on_recompile",
             "eager_then_compile", "aot_eager_then_compile")
    name = "default"


stance = Stance()
