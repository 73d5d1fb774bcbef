"""Run every program of tutorials/ in float64: prints a JSON object with the text each printed."""

from __future__ import annotations

import contextlib
import io
import json
import random
import runpy
from pathlib import Path


def main() -> None:
    import torch

    torch.set_default_dtype(torch.float64)
    printed = {}
    for program in sorted(Path(__file__).with_name("tutorials").glob("*.py")):
        random.seed(0)
        torch.manual_seed(0)
        with contextlib.redirect_stdout(io.StringIO()) as text:
            runpy.run_path(str(program), run_name="__main__")
        printed[program.stem] = text.getvalue()
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
