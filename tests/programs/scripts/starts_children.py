"""Computes in child processes of every start method; prints what they saw as JSON."""

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import torch


class Job:
    def __init__(self, start):
        self.start = start


def work(job):
    """Runs in a child: which torch is there, and a result computed with it."""
    import torch.nn.functional as F

    values = F.relu(torch.arange(-2.0, 3.0) + job.start)
    return torch.__name__, torch is sys.modules["flashlight"], values.tolist()


def grandchild(method):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        return pool.submit(work, Job(2)).result()


if __name__ == "__main__":
    seen = {"parent": work(Job(1))}
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(1) as pool:
            seen[method] = pool.apply(work, (Job(1),))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        seen["grandchild"] = pool.submit(grandchild, "spawn").result()
    print(json.dumps(seen))
