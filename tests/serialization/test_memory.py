"""A checkpoint is in memory once while it is loaded or saved."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

PROGRAM = """
import sys
import flashlight
mode, path = sys.argv[1:]
def peak():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
with open("/proc/self/clear_refs", "w") as reset:
    reset.write("5")  # the peak so far is the test's own, by inheritance
before = peak()
if mode == "save":
    tensors = {str(key): flashlight.ones(4, 2**20) for key in range(8)}
    numbers = [tensor[1, 7].item() for tensor in tensors.values()]
    flashlight.save(tensors, path)
else:
    tensors = flashlight.load(path, mmap=mode == "mmap")
    untouched = peak() - before
    assert mode == "load" or untouched < 2**24, untouched
    assert [tensor[1, 7].item() for tensor in tensors.values()] == [1.0] * 8
print((peak() - before) / 2**27)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("mode", ["load", "mmap", "save"])
def test_there_is_no_second_copy(mode, tmp_path):
    path = tmp_path / "large.pt"
    if mode != "save":
        torch.save({str(key): torch.ones(4, 2**20) for key in range(8)}, path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode, str(path)], check=True, capture_output=True, text=True
    )
    # One of the eight tensors may be there twice for a moment.
    assert 0.95 < float(done.stdout) < 1.2
