"""Optimizers: every OptimizerInfo of PyTorch's ``optim_db``, and all learning rate schedulers."""

from __future__ import annotations

import torch
from torch.testing._internal.common_optimizers import optim_db

from .adapter import Conversion
from .core import paired, raising

STEPS = 10
EPOCHS = 20
#: Switches for implementations that a target need not tell apart.
SPECIAL = ("fused", "foreach", "capturable", "differentiable")
_INFOS = {info.name: info for info in optim_db}

#: How to build each scheduler from the ``lr_scheduler`` module and an optimizer.
SCHEDULERS = {
    "LambdaLR": [lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch)],
    "MultiplicativeLR": [lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9)],
    "StepLR": [lambda s, o: s.StepLR(o, 3), lambda s, o: s.StepLR(o, step_size=4, gamma=0.5)],
    "MultiStepLR": [lambda s, o: s.MultiStepLR(o, [2, 5, 5, 11], gamma=0.3)],
    "ConstantLR": [lambda s, o: s.ConstantLR(o), lambda s, o: s.ConstantLR(o, 0.2, 7)],
    "LinearLR": [lambda s, o: s.LinearLR(o), lambda s, o: s.LinearLR(o, 0.1, 0.8, 8)],
    "ExponentialLR": [lambda s, o: s.ExponentialLR(o, 0.9)],
    "PolynomialLR": [lambda s, o: s.PolynomialLR(o), lambda s, o: s.PolynomialLR(o, 9, 2.0)],
    "CosineAnnealingLR": [
        lambda s, o: s.CosineAnnealingLR(o, 8),
        lambda s, o: s.CosineAnnealingLR(o, T_max=15, eta_min=0.01),
    ],
    "CosineAnnealingWarmRestarts": [lambda s, o: s.CosineAnnealingWarmRestarts(o, 3, 2, 0.001)],
    "SequentialLR": [
        lambda s, o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)], milestones=[4]
        )
    ],
    "ChainedScheduler": [
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.5, 4), s.ExponentialLR(o, 0.9)])
    ],
    "CyclicLR": [
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, step_size_up=4),
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, 3, 5, mode="triangular2"),
        lambda s, o: s.CyclicLR(o, 0.01, 0.2, 4, mode="exp_range", gamma=0.95),
    ],
    "OneCycleLR": [
        lambda s, o: s.OneCycleLR(o, 0.3, total_steps=21),
        lambda s, o: s.OneCycleLR(
            o, 0.3, epochs=3, steps_per_epoch=7, anneal_strategy="linear", three_phase=True
        ),
    ],
    "ReduceLROnPlateau": [
        lambda s, o: s.ReduceLROnPlateau(o, patience=2),
        lambda s, o: s.ReduceLROnPlateau(o, "max", 0.5, 1, cooldown=2),
    ],
}


def items(options):
    """Name each optimizer and each scheduler."""
    yield from _INFOS
    yield from SCHEDULERS


def checks(item, options):
    """Plan all checks of one optimizer or scheduler."""
    if item in SCHEDULERS:
        for index, build in enumerate(SCHEDULERS[item]):
            probes = _Schedule(item, build)
            yield from paired("lr_scheduler", item, f"case {index}", probes.rates)
            yield from paired("lr_scheduler_state", item, f"case {index}", probes.state)
        return
    info = _INFOS[item]
    for given in info.optim_inputs_func(device="cpu"):
        if any(given.kwargs.get(switch) for switch in SPECIAL):
            continue
        probes = _Descent(info, given.kwargs)
        yield from paired("step", item, given.desc, probes.step, graded=True)
        yield from paired("resume", item, given.desc, probes.resume)
        yield from paired("state_dict", item, given.desc, probes.state)
        if info.supports_param_groups and not info.only_supports_sparse_grads:
            yield from paired("param_groups", item, given.desc, probes.groups)
    for index, error in enumerate(info.optim_error_inputs_func("cpu", torch.float32)):
        given = error.optimizer_error_input
        yield from raising("error", item, f"error {index}", _construction(item, given))


class _Descent:
    """Minimise a fixed quadratic, with gradients computed outside of the module under test."""

    def __init__(self, info, kwargs):
        self.info, self.kwargs = info, kwargs

    def step(self, adapter):
        params = _parameters(adapter)
        optimizer = self._build(adapter, params)
        return [self._step(adapter, optimizer, params) for _ in range(STEPS)]

    def resume(self, adapter):
        params = _parameters(adapter)
        optimizer = self._build(adapter, params)
        for _ in range(STEPS // 2):
            self._step(adapter, optimizer, params)
        fresh = self._build(adapter, params)
        fresh.load_state_dict(optimizer.state_dict())
        return [self._step(adapter, fresh, params) for _ in range(STEPS // 2)]

    def state(self, adapter):
        params = _parameters(adapter)
        optimizer = self._build(adapter, params)
        self._step(adapter, optimizer, params)
        saved = optimizer.state_dict()
        return (
            sorted(saved),
            [
                sorted(map(str, saved["state"])),
                *(sorted(entry) for entry in saved["state"].values()),
            ],
            [sorted(group) for group in saved["param_groups"]],
        )

    def groups(self, adapter):
        params = _parameters(adapter)
        optimizer = self._build(adapter, [{"params": params[:1]}])
        optimizer.add_param_group({"params": params[1:], "lr": 0.05})
        return [self._step(adapter, optimizer, params) for _ in range(STEPS)]

    def _build(self, adapter, params):
        build = adapter.lookup(f"optim.{self.info.name}")
        return build(params, **Conversion(adapter)(self.kwargs))

    def _step(self, adapter, optimizer, params):
        def closure():
            optimizer.zero_grad()
            loss = torch.zeros(())
            for index, param in enumerate(params):
                value = adapter.to_torch(param)
                slope = torch.linspace(0.5, 2.0, value.numel()).reshape(value.shape)
                loss = loss + (slope * (value - index - 1) ** 2).sum() / 2
                grad = (slope * (value - index - 1)).to(value.dtype)
                sparse = self.info.only_supports_sparse_grads
                param.grad = adapter.tensor(grad.to_sparse() if sparse else grad)
            return adapter.tensor(loss.float())

        if self.info.step_requires_closure:
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
        return [adapter.to_torch(param) for param in params]


class _Schedule:
    """Follow one scheduler over some epochs of SGD with two parameter groups."""

    def __init__(self, name, build):
        self.name, self.build = name, build

    def rates(self, adapter):
        optimizer, scheduler = self._start(adapter)
        return [self._epoch(epoch, optimizer, scheduler) for epoch in range(EPOCHS)]

    def state(self, adapter):
        optimizer, scheduler = self._start(adapter)
        for epoch in range(EPOCHS // 2):
            self._epoch(epoch, optimizer, scheduler)
        saved = scheduler.state_dict()
        optimizer, fresh = self._start(adapter)
        fresh.load_state_dict(saved)
        public = sorted(key for key in saved if not key.startswith("_"))
        return public, [float(rate) for rate in fresh.get_last_lr()]

    def _start(self, adapter):
        first, second = _parameters(adapter)
        groups = [{"params": [first]}, {"params": [second], "lr": 0.02}]
        optimizer = adapter.lookup("optim.SGD")(groups, lr=0.1, momentum=0.9)
        return optimizer, self.build(adapter.lookup("optim.lr_scheduler"), optimizer)

    def _epoch(self, epoch, optimizer, scheduler):
        optimizer.step()
        plateau = [(5 - epoch) ** 2 if epoch < 5 else 1.0] if "Plateau" in self.name else []
        scheduler.step(*plateau)
        return [(float(group["lr"]), float(group["momentum"])) for group in optimizer.param_groups]


def _construction(name, given):
    def probe(adapter):
        convert = Conversion(adapter)
        params = _parameters(adapter) if given.params is None else convert(given.params)
        adapter.lookup(f"optim.{name}")(params, **convert(given.kwargs))

    return probe


def _parameters(adapter):
    """Return two parameters; both are matrices, for the optimizers that ask for these."""
    convert = Conversion(adapter)
    return [
        convert(torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))),
        convert(torch.nn.Parameter(torch.linspace(2, 3, 5).reshape(5, 1))),
    ]
