"""Write flashlight/_kernels/joe_kuo.npz, the direction numbers of Sobol sequences, from SciPy's copy.

`polynomials`: the primitive polynomial of each dimension as bits (the first dimension has none).
`numbers`: for i = 1, 2, ... the odd initial numbers m_(i+1) of all dimensions whose polynomial has
a higher degree than i, halved, as i bits each. (m_1 is always 1.)
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "flashlight" / "_kernels" / "joe_kuo.npz"


def main() -> None:
    with np.load(str(files("scipy.stats") / "_sobol_direction_numbers.npz")) as table:
        polynomials, initial = table["poly"], table["vinit"]
    degrees = np.array([int(p).bit_length() - 1 for p in polynomials])
    bits = []
    for i in range(1, initial.shape[1]):
        halves = initial[degrees > i, i] >> 1
        bits.append((halves[:, None] >> np.arange(i) & 1).astype(np.uint8).reshape(-1))
    np.savez_compressed(
        TARGET,
        polynomials=polynomials.astype(np.uint32),
        numbers=np.packbits(np.concatenate(bits)),
    )
    print(f"{TARGET.name}: {len(polynomials)} dimensions, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
