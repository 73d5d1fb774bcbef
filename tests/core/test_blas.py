"""MLX on OpenBLAS gives what NumPy gives, and without it flashlight says why."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest
import torch

from flashlight._core import blas, threads

HAS_OPENBLAS = (
    importlib.util.find_spec("scipy_openblas32") is not None
    and sys.platform.startswith("linux")
    and platform.machine() in blas.MACHINES
)
DTYPES = [np.float32, np.float64, np.complex64]


def rounding(dtype) -> dict[str, float]:
    return {"rtol": 1e-11, "atol": 1e-11} if dtype == np.float64 else {"rtol": 2e-4, "atol": 2e-4}


def matrix(dtype, *shape: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        values = values + 1j * random.standard_normal(shape)
    return values.astype(dtype)


def to_mlx(values: np.ndarray) -> mx.array:
    return mx.array(values, dtype=getattr(mx, values.dtype.name))


def to_numpy(array: mx.array) -> np.ndarray:
    return np.array(array)


@pytest.fixture(autouse=True)
def on_the_cpu():
    blas.install()
    with mx.stream(mx.cpu):
        yield


@pytest.mark.skipif(not HAS_OPENBLAS, reason="needs Linux and scipy-openblas32")
def test_every_function_is_redirected():
    status = blas.status()
    assert status.provider == "OpenBLAS", status.reason
    assert status.functions == len(blas.FUNCTIONS) == 24
    assert "OpenBLAS" in status.version
    assert status.reason == ""


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul(dtype):
    a, b = matrix(dtype, 3, 37, 64), matrix(dtype, 3, 64, 45, seed=1)
    np.testing.assert_allclose(to_numpy(to_mlx(a) @ to_mlx(b)), a @ b, **rounding(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_of_transposes(dtype):
    a, b = matrix(dtype, 40, 33), matrix(dtype, 21, 40, seed=1)
    np.testing.assert_allclose(to_numpy(to_mlx(a).T @ to_mlx(b).T), a.T @ b.T, **rounding(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 33), (33, 20)])
def test_svd(dtype, shape):
    a = matrix(dtype, *shape)
    u, s, vt = (to_numpy(part) for part in mx.linalg.svd(to_mlx(a)))
    np.testing.assert_allclose(s, np.linalg.svd(a, compute_uv=False), **rounding(dtype))
    rank = min(shape)
    np.testing.assert_allclose((u[:, :rank] * s) @ vt[:rank], a, **rounding(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_eigh(dtype):
    a = matrix(dtype, 30, 30)
    a = a + a.conj().T
    values, vectors = (to_numpy(part) for part in mx.linalg.eigh(to_mlx(a)))
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a), **rounding(dtype))
    np.testing.assert_allclose(a @ vectors, vectors * values, **rounding(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_eigenvalues(dtype):
    a = matrix(dtype, 24, 24)
    values = np.sort_complex(to_numpy(mx.linalg.eigvals(to_mlx(a))))
    np.testing.assert_allclose(values, np.sort_complex(np.linalg.eigvals(a)), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_qr(dtype):
    a = matrix(dtype, 40, 25)
    q, r = (to_numpy(part) for part in mx.linalg.qr(to_mlx(a)))
    np.testing.assert_allclose(q @ r, a, **rounding(dtype))
    np.testing.assert_allclose(q.T @ q, np.eye(25), **rounding(dtype))
    np.testing.assert_array_equal(np.tril(r, -1), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cholesky_and_its_inverse(dtype):
    a = matrix(dtype, 30, 30)
    a = a @ a.T + 30 * np.eye(30, dtype=dtype)
    factor = to_numpy(mx.linalg.cholesky(to_mlx(a)))
    np.testing.assert_allclose(factor, np.linalg.cholesky(a), **rounding(dtype))
    inverse = to_numpy(mx.linalg.cholesky_inv(to_mlx(factor)))
    np.testing.assert_allclose(inverse, np.linalg.inv(a), **rounding(dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_solve_and_inverse(dtype):
    a = matrix(dtype, 30, 30) + 10 * np.eye(30, dtype=dtype)
    b = matrix(dtype, 30, 7, seed=1)
    solution = to_numpy(mx.linalg.solve(to_mlx(a), to_mlx(b)))
    np.testing.assert_allclose(solution, np.linalg.solve(a, b), **rounding(dtype))
    np.testing.assert_allclose(
        to_numpy(mx.linalg.inv(to_mlx(a))), np.linalg.inv(a), **rounding(dtype)
    )
    lower = np.tril(a)
    np.testing.assert_allclose(
        to_numpy(mx.linalg.tri_inv(to_mlx(lower))), np.linalg.inv(lower), **rounding(dtype)
    )


@pytest.mark.skipif(not HAS_OPENBLAS, reason="needs Linux and scipy-openblas32")
def test_number_of_threads():
    before = threads.get_num_threads()
    try:
        threads.set_num_threads(2)
        assert threads.get_num_threads() == blas.get_num_threads() == 2
        a = matrix(np.float32, 200, 200)
        np.testing.assert_allclose(to_numpy(to_mlx(a) @ to_mlx(a)), a @ a, **rounding(np.float32))
    finally:
        threads.set_num_threads(before)


@pytest.mark.parametrize("name", ["set_num_threads", "set_num_interop_threads"])
@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_numbers_of_threads_that_pytorch_refuses(name, count):
    with pytest.raises(RuntimeError) as theirs:
        getattr(torch, name)(count)
    with pytest.raises(RuntimeError) as ours:
        getattr(threads, name)(count)
    assert str(ours.value) == str(theirs.value)


def test_number_of_interop_threads():
    before = threads.get_num_interop_threads()
    threads.set_num_interop_threads(3)
    assert threads.get_num_interop_threads() == 3
    threads.set_num_interop_threads(before)


def test_physical_cores():
    assert 1 <= blas.physical_cores() <= (os.cpu_count() or 1)


def test_a_failing_patch_is_recorded_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(blas, "_status", None)
    monkeypatch.setattr(blas, "_library", None)

    def find(name):
        raise blas.NotPatchable("no such object")

    monkeypatch.setattr(blas.SharedObject, "find", find)
    monkeypatch.setattr(blas, "_load_openblas", lambda: None)
    monkeypatch.setattr(blas, "_jump_slot_type", lambda: (62, 7))
    status = blas.install()
    assert status.functions == 0
    assert status.reason == "no such object"
    assert blas.get_num_threads() == 1


@pytest.mark.skipif(not HAS_OPENBLAS, reason="needs Linux and scipy-openblas32")
def test_slots_of_another_machine_are_refused():
    libmlx = blas.SharedObject.find("libmlx.so")
    mine, _ = blas._jump_slot_type()
    libmlx.check_machine(mine)
    with pytest.raises(blas.NotPatchable, match="is for machine"):
        libmlx.check_machine(mine + 1)
    with pytest.raises(blas.NotPatchable, match="not loaded"):
        blas.SharedObject.find("libnothing.so")


def test_the_environment_variable_turns_it_off():
    program = (
        "from flashlight._core import blas; import mlx.core as mx;"
        "s = blas.install(); print(s.functions, s.reason);"
        "print(mx.linalg.svd(mx.eye(3), stream=mx.cpu)[1].tolist())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, blas.ENVIRONMENT_VARIABLE: "mlx"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = finished.stdout.splitlines()
    assert first == "0 turned off by FLASHLIGHT_BLAS=mlx"
    assert second == "[1.0, 1.0, 1.0]"
