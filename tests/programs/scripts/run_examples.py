"""Run examples one after the other in this process: run_examples.py JOBS.

JOBS is a JSON file with a list of `threads`, `onednn` (whether PyTorch may use these kernels) and
`arguments`. Prints a JSON object with the traceback of each that failed, by its place in the list.
"""

from __future__ import annotations

import contextlib
import json
import runpy
import sys
import traceback
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def main() -> None:
    import torch

    jobs = json.loads(Path(sys.argv[1]).read_text())
    sys.path.insert(0, str(EXAMPLES))
    failures = {}
    for place, (threads, onednn, arguments) in enumerate(jobs):
        program = arguments[0]
        sys.argv = arguments
        torch.set_num_threads(threads)
        try:
            torch.backends.mkldnn.set_flags(onednn)
            with contextlib.redirect_stdout(sys.stderr):
                runpy.run_path(str(EXAMPLES / program), run_name="__main__")
        except (Exception, SystemExit):
            failures[place] = traceback.format_exc()
    print(json.dumps(failures))


if __name__ == "__main__":
    main()
