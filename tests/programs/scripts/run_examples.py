"""Run examples one after the other in this process: run_examples.py JOBS.

JOBS is a JSON file with a list of command lines. Prints a JSON object with the traceback of each
that failed, by its place in the list.
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
    jobs = json.loads(Path(sys.argv[1]).read_text())
    sys.path.insert(0, str(EXAMPLES))
    failures = {}
    for place, (program, *arguments) in enumerate(jobs):
        sys.argv = [program, *arguments]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                runpy.run_path(str(EXAMPLES / program), run_name="__main__")
        except (Exception, SystemExit):
            failures[place] = traceback.format_exc()
    print(json.dumps(failures))


if __name__ == "__main__":
    main()
