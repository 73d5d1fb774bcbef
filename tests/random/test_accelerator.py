"""Which stream a draw takes on an accelerator: in a process that takes the CPU for one."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import flashlight as torch
import flashlight.nn.functional as functional
import flashlight.random
from flashlight._core import device, generator

device.ACCELERATOR = "mps"
generator.accelerator_generator = torch.Generator("mps")


def cpu_state():
    return torch.get_rng_state().tolist()


def accelerated(call):
    "Values of a draw that must leave the CPU's generator alone and come again with the seed."
    torch.manual_seed(3)
    before = cpu_state()
    first, second = call().tolist(), call().tolist()
    assert first != second and cpu_state() == before
    torch.manual_seed(3)
    assert call().tolist() == first
    return first


def shared(call, reference):
    "A draw from the CPU's generator, whatever the device."
    torch.manual_seed(3)
    found = call()
    torch.manual_seed(3)
    assert found.tolist() == reference().tolist()
    assert found.device.type == "mps"


x = torch.ones(40, device="mps")
assert x.device.type == "mps"
accelerated(lambda: torch.rand(40, device="mps"))
accelerated(lambda: torch.randn(40, device="mps"))
accelerated(lambda: torch.randint(1000, (40,), device="mps"))
accelerated(lambda: torch.randperm(40, device="mps"))
accelerated(lambda: torch.rand_like(x))
accelerated(lambda: torch.randn_like(x))
accelerated(lambda: torch.normal(x, x))
accelerated(lambda: torch.bernoulli(x * 0.5))
accelerated(lambda: torch.poisson(x * 50))
accelerated(lambda: torch.multinomial(x, 5))
accelerated(lambda: functional.dropout(x))
accelerated(lambda: functional.rrelu(-x, training=True))
accelerated(lambda: functional.gumbel_softmax(x))
shared(lambda: torch.zeros(40, device="mps").normal_(), lambda: torch.zeros(40).normal_())
shared(lambda: torch.zeros(4, device="mps").uniform_(-1, 1), lambda: torch.rand(4) * 2 - 1)

own = torch.Generator("mps").manual_seed(8)
first = torch.rand(5, device="mps", generator=own).tolist()
assert own.get_offset() == 4 and own.get_state().shape == (16,)
assert torch.rand(5, device="mps", generator=own.manual_seed(8)).tolist() == first
twin = own.clone_state()
pair = [torch.rand(5, device="mps", generator=source).tolist() for source in (own, twin)]
assert pair[0] == pair[1]
sharing = own.graphsafe_get_state()
sharing.set_offset(400)
assert own.get_offset() == 400
own.graphsafe_set_state(twin)
assert own.get_offset() == twin.get_offset()
for call, message in (
    (lambda: own.set_offset(3), "multiple of 4"),
    (lambda: own.set_state(torch.zeros(3, dtype=torch.uint8)), "wrong size"),
    (lambda: torch.rand(3, generator=own), "'cpu' device type for generator but found 'mps'"),
):
    try:
        call()
    except RuntimeError as error:
        assert message in str(error), error
    else:
        raise AssertionError(message)

plain = torch.Generator().manual_seed(1)
found = torch.rand(5, device="mps", generator=plain)
assert found.tolist() == torch.rand(5, generator=plain.manual_seed(1)).tolist()

torch.manual_seed(3)
start = torch.rand(5, device="mps").tolist()
torch.manual_seed(3)
with torch.random.fork_rng():
    torch.rand(7, device="mps")
assert torch.rand(5, device="mps").tolist() == start
with torch.random.fork_rng(devices=[]):
    torch.rand(7, device="mps")
assert generator.accelerator_generator.get_offset() == 8
print("all held")
"""


def test_streams_of_an_accelerator():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip() == "all held", done.stderr
