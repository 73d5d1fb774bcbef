"""Anomaly mode, grad mode, threads, `__torch_function__`."""

from __future__ import annotations

import importlib
import threading
import warnings

import pytest

from tests.autograd.agree import check, leaf, programs_of


def anomaly(l):
    x = leaf(l)
    with l.autograd.detect_anomaly():
        y = l.sqrt(x * 0 - 1)
        y.sum().backward()


def anomaly_msg(l):
    x = leaf(l)
    with warnings.catch_warnings(record=True) as w:
        warnings.simplefilter("always")
        try:
            with l.autograd.set_detect_anomaly(True):
                y = l.sqrt(x * 0 - 1)  # THE LINE
                y.sum().backward()
        except RuntimeError:
            pass
    return ["THE LINE" in str(m.message) for m in w], str(w[0].message)[:60]


def anomaly_fn(l):
    class A(l.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            raise ValueError("boom")

    x = leaf(l)
    with l.autograd.set_detect_anomaly(True):
        A.apply(x).sum().backward()


def generator_nograd(l):
    @l.no_grad()
    def g():
        yield (leaf(l) * 2).requires_grad
        yield (leaf(l) * 2).requires_grad

    out = []
    for v in g():
        out.append((v, (leaf(l) * 2).requires_grad))
    return out


def grad_mode_thread(l):
    out = []

    def f():
        out.append((l.is_grad_enabled(), (l.ones(1, requires_grad=True) * 2).requires_grad))

    with l.no_grad():
        t = threading.Thread(target=f)
        t.start()
        t.join()
    return out


def threads_cross(l):
    x = leaf(l)
    y = x.exp()
    out = []

    def f():
        z = (y * 2).sum()
        z.backward()
        out.append(z.item())

    t = threading.Thread(target=f)
    t.start()
    t.join()
    return out, x.grad


def threads_many(l):
    x = l.ones(100, requires_grad=True)

    def f():
        for _ in range(5):
            ((x * 2).exp().sum()).backward()

    ts = [threading.Thread(target=f) for _ in range(4)]
    [t.start() for t in ts]
    [t.join() for t in ts]
    return (x.grad / (2 * l.exp(l.tensor(2.0)))).round()[:2]


def torch_function(l):
    out = []

    class S(l.Tensor):
        @classmethod
        def __torch_function__(cls, f, types, args=(), kwargs=None):
            out.append(getattr(f, "__name__", str(f)))
            return super().__torch_function__(f, types, args, kwargs or {})

    s = l.ones(2).as_subclass(S)
    y = s + 1
    z = l.sin(s)
    w = s.sum()
    v = s[0]
    u = l.cat([s, s])
    s.add_(1)
    t = l.nn.functional.relu(s)
    s.view(1, 2)
    return out, [type(q).__name__ for q in (y, z, w, v, u, t)]


def torch_function_mode(l):
    overrides = importlib.import_module(f"{l.__name__}.overrides")
    out = []

    class M(overrides.TorchFunctionMode):
        def __torch_function__(self, f, types, args=(), kwargs=None):
            out.append(getattr(f, "__name__", str(f)))
            return f(*args, **(kwargs or {}))

    with M():
        x = l.ones(2)
        x + 1
        l.sin(x)
        l.nn.functional.relu(x)
        x.sum()
        x[0]
        x.add_(1)
    return out


def sub_grad(l):
    class S(l.Tensor):
        pass

    x = l.ones(2, requires_grad=True)
    s = x.as_subclass(S)
    y = (s * 2).sum()
    y.backward()
    return x.grad, type(y).__name__, type(s.detach()).__name__


def look_alike(l):
    class D:
        @classmethod
        def __torch_function__(cls, f, types, args=(), kwargs=None):
            return ("called", f.__name__, len(args))

    d = D()
    return l.sin(d), l.add(l.ones(1), d), l.cat([l.ones(1), d]), l.stack([d])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("program", programs_of(globals()), ids=lambda program: program.__name__)
def test_agrees_with_pytorch(program):
    check(program)
