"""Run suites in worker processes, so that a crash or a hang costs one check only."""

from __future__ import annotations

import collections
import contextlib
import importlib
import multiprocessing
import os
import random
import re
import signal
import time
import types
import warnings
from dataclasses import dataclass
from multiprocessing import connection

import numpy
import torch

from .adapter import Adapter, Mismatch, Missing, record_constructions
from .core import Refused

SUITES = ("names", "ops", "modules", "optim", "distributions")
#: How long a worker may stay silent beyond a check's own limit before it is killed.
SILENCE = 60.0
#: How long a worker may take to end once there is nothing left to do.
FAREWELL = 120.0


@dataclass
class Record:
    """The outcome of one check.

    ``status`` is pass, strict, fail, missing, timeout, crash or, where PyTorch gives
    nothing to compare with, refused.
    """

    suite: str
    item: str
    unit: str
    tier: str
    label: str
    graded: bool
    status: str
    reason: str

    @property
    def passed(self):
        return self.status in ("pass", "strict")


class TimeLimit(BaseException):
    """A check took too long; not an Exception, so that targets do not swallow it."""


def run(suite, options):
    """Run one suite; return its records."""
    items = [item for item in _load(suite).items(options) if re.search(options.pattern, item)]
    pending = collections.deque((item, 0) for item in items)
    workers = [_Worker(suite, options) for _ in range(min(options.jobs, len(items)))]
    records = []
    try:
        while pending or any(worker.item for worker in workers):
            for worker in workers:
                if pending and not worker.item:
                    worker.assign(*pending.popleft())
            connection.wait([worker.pipe for worker in workers if worker.item], timeout=1.0)
            for worker in workers:
                done, rest = worker.collect()
                records += done
                if rest:
                    pending.appendleft(rest)
    finally:
        for worker in workers:
            worker.stop()
    return records


class _Worker:
    """The parent's side of a worker process: the item in work, its plan and how far it got."""

    def __init__(self, suite, options):
        self.suite, self.options = suite, options
        self.item = None
        self.plan, self.next = [], 0
        self._start()

    def _start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, self.suite, self.options), daemon=True
        )
        self.process.start()
        theirs.close()

    def stop(self):
        """Let the process end by itself, so that coverage is written; kill it if it doesn't."""
        self.pipe.close()
        self.process.join(FAREWELL)
        self.process.kill()

    def assign(self, item, first):
        """Start on ``item`` at its check number ``first``."""
        self.item, self.next, self.plan, self.heard = item, first, [], time.monotonic()
        self.pipe.send((item, first))

    def collect(self):
        """Return new records, and the task to resume in case the process was lost."""
        records = []
        if not self.item:
            return records, None
        try:
            while self.pipe.poll():
                self.heard = time.monotonic()
                kind, content = self.pipe.recv()
                if kind == "plan":
                    self.plan = content
                elif kind == "done":
                    records.append(self._record(*content))
                elif kind == "end":
                    self.item = None
                    return records, None
                else:
                    raise RuntimeError(f"cannot import the target: {content}")
        except (EOFError, ConnectionResetError):
            self.process.join()
            return records, self._lose(records, "crash", f"process died ({self.process.exitcode})")
        if time.monotonic() - self.heard > self.options.timeout + SILENCE:
            self.process.kill()
            return records, self._lose(records, "timeout", "process hung")
        return records, None

    def _record(self, status, reason):
        unit, tier, label, graded = self.plan[self.next]
        self.next += 1
        return Record(self.suite, self.item, unit, tier, label, graded, status, reason)

    def _lose(self, records, status, reason):
        if not self.plan:
            raise RuntimeError(f"{self.item} could not be planned: {reason}")
        if self.next < len(self.plan):
            records.append(self._record(status, reason))
        rest = (self.item, self.next) if self.next < len(self.plan) else None
        self.item = None
        self._start()
        return rest


def _load(suite):
    return importlib.import_module(f"{__package__}.suite_{suite}")


def _serve(pipe, suite, options):
    """The worker process: plan each item on PyTorch, then run its checks on the target."""
    _quieten()
    torch.set_num_threads(1)
    record_constructions()
    try:
        target = Adapter(importlib.import_module(options.target))
    except Exception as error:
        pipe.send(("fatal", f"{type(error).__name__}: {error}"))
        return
    plan = _load(suite).checks
    signal.signal(signal.SIGALRM, _alarm)
    while True:
        try:
            item, first = pipe.recv()
        except EOFError:
            return
        for seed in (torch.manual_seed, numpy.random.seed, random.seed):
            seed(options.seed)
        checks = list(plan(item, options))
        pipe.send(("plan", [(c.unit, c.tier, c.label, c.graded) for c in checks]))
        for check in checks[first:]:
            pipe.send(("done", _execute(check, target, options.timeout)))
        pipe.send(("end", None))


def _execute(check, target, limit):
    """Run one check; return its status and the reason of a failure."""
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return ("strict" if check.run(target) else "pass"), ""
    except Refused as error:
        return "refused", str(error)
    except Missing as error:
        return "missing", str(error)
    except Mismatch as error:
        return "fail", str(error)
    except TimeLimit:
        return "timeout", f"took over {limit:g} s"
    except BaseException as error:
        with contextlib.suppress(Exception):
            if isinstance(error, AttributeError) and _is_absence(error, target):
                return "missing", f"no {error.name}"
        text = " ".join(str(error).split())
        return "fail", f"{type(error).__name__}: {text[:160]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _is_absence(error, target):
    """Tell whether the harness itself, not the target's own code, asked for a lacking name."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    owner = trace.tb_frame.f_globals.get("__name__", "")
    inside = owner.partition(".")[0] == target.module.__name__.partition(".")[0]
    whose = error.obj
    public = isinstance(whose, (type, types.ModuleType)) or target.is_tensor(whose)
    return public and (not inside or owner.startswith("torch.testing."))


def _alarm(*_):
    raise TimeLimit


def _quieten():
    warnings.simplefilter("ignore")
    with open(os.devnull, "w") as void:
        os.dup2(void.fileno(), 1)
        os.dup2(void.fileno(), 2)
