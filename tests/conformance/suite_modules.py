"""Modules: every ModuleInfo of PyTorch's ``module_db``, and the layers which it leaves out."""

from __future__ import annotations

import pickle

import torch
from torch.testing._internal.common_modules import FunctionInput, ModuleInput, module_db

from .adapter import Conversion, Mismatch
from .core import backward, gradients, paired, raising, spread

_MODES = {"train": True, "eval": False}
_INFOS = {info.name: info for info in module_db}


def items(options):
    """Name each module, in each mode where the modes differ."""
    for info in module_db:
        for mode in _MODES if info.train_and_eval_differ else ["train"]:
            yield f"{info.name}[{mode}]"
    for name in _extra_inputs():
        for mode in _MODES if "Dropout" in name or name == "nn.RReLU" else ["train"]:
            yield f"{name}[{mode}]"


def checks(item, options):
    """Plan all checks of one module in one mode."""
    name, _, mode = item.removesuffix("]").partition("[")
    info, training = _INFOS.get(name), _MODES[mode]
    if not info:
        inputs = _extra_inputs()[name]
    else:
        inputs = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
        )
    usable = [given for given in inputs if given.forward_input is not None]
    for index, given in enumerate(spread(usable, options.limit)):
        label = f"input {index}"
        probes = _Probes(name, given, training)
        yield from paired("forward", item, label, probes.forward, graded=True)
        yield from paired("grad", item, label, probes.grad, graded=True)
        yield from paired("state_dict", item, label, probes.state)
        yield from paired("buffers", item, label, probes.buffers)
        yield from paired("pickle", item, label, probes.pickled)
        yield from paired("repr", item, label, probes.described)
    if info and info.module_error_inputs_func:
        errors = info.module_error_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
        )
        for index, error in enumerate(errors):
            probes = _Probes(name, error.module_error_input, training, load=False)
            yield from raising("error", item, f"error {index}", probes.forward)


class _Probes:
    """The things to do with one module built from one set of inputs."""

    def __init__(self, name, given, training, load=True):
        self.name, self.given, self.training = name, given, training
        self.values, self.wide = None, False
        if load:
            build, call = given.constructor_input, given.forward_input
            reference = getattr(torch.nn, name.removeprefix("nn."))(*build.args, **build.kwargs)
            if isinstance(reference, torch.nn.modules.lazy.LazyModuleMixin):
                reference(*call.args, **call.kwargs)
            self.wide = any(v.dtype is torch.float64 for v in reference.state_dict().values())
            self.values = reference.float().state_dict()

    def forward(self, adapter):
        module, convert = self._build(adapter)
        return adapter.to_torch(self._call(module, convert))

    def grad(self, adapter):
        module, convert = self._build(adapter)
        convert.detach = False
        backward(adapter, self._call(module, convert))
        found = {
            name: adapter.to_torch(p).zero_() if p.grad is None else adapter.to_torch(p.grad)
            for name, p in module.named_parameters()
        }
        return found, gradients(adapter, convert.leaves)

    def state(self, adapter):
        module, _ = self._build(adapter)
        module.load_state_dict(Conversion(adapter, detach=True)(dict(self.values)))
        return adapter.to_torch(dict(module.state_dict()))

    def buffers(self, adapter):
        module, convert = self._build(adapter)
        self._call(module, convert)
        found = {name: adapter.to_torch(buffer) for name, buffer in module.named_buffers()}
        if not found:
            raise Mismatch("no buffers")
        return found

    def pickled(self, adapter):
        module, convert = self._build(adapter)
        return adapter.to_torch(self._call(pickle.loads(pickle.dumps(module)), convert))

    def described(self, adapter):
        return repr(self._build(adapter)[0])

    def _build(self, adapter):
        convert = Conversion(adapter, detach=True)
        given = self.given.constructor_input
        module = adapter.lookup(self.name)(*convert(list(given.args)), **convert(given.kwargs))
        module = module.float() if self.wide else module
        module = module.double() if adapter.double else module
        module.train(self.training)
        if self.values is not None:
            if self.name.startswith("nn.Lazy"):
                self._call(module, convert)
            known = module.state_dict().keys()
            shared = {key: value for key, value in self.values.items() if key in known}
            module.load_state_dict(convert(shared))
        return module, Conversion(adapter, detach=True)

    def _call(self, module, convert):
        given = self.given.forward_input
        return module(*convert(list(given.args)), **convert(given.kwargs))


def _extra_inputs():
    """Return inputs for the public layers without a ModuleInfo."""
    nn, whole = torch.nn, torch.tensor
    images = {1: (4, 5, 3), 2: (4, 5, 3, 3), 3: (4, 5, 2, 3, 2)}
    lazy = [
        (f"Lazy{kind}Norm{n}d", (), {}, [shape])
        for kind in ("Batch", "Instance")
        for n, shape in images.items()
    ]
    dropout = [(f"Dropout{n}d", (), {}, [shape]) for n, shape in images.items()]
    simple = [
        (name, (), {}, [(8, 9)])
        for name in (
            "AlphaDropout",
            "Dropout",
            "FeatureAlphaDropout",
            "Hardsigmoid",
            "Identity",
            "RReLU",
        )
    ]
    rows = [
        *lazy,
        *dropout,
        *simple,
        ("AdaptiveLogSoftmaxWithLoss", (4, 10, [3, 6]), {}, [(5, 4), whole([0, 4, 9, 2, 7])]),
        ("ChannelShuffle", (2,), {}, [(1, 4, 2, 2)]),
        ("CosineSimilarity", (), {"dim": 1}, [(3, 5), (3, 5)]),
        ("CrossMapLRN2d", (3,), {}, [(2, 4, 3, 3)]),
        ("EmbeddingBag", (6, 3), {"mode": "sum"}, [whole([[0, 2], [5, 5]])]),
        ("EmbeddingBag", (6, 3), {}, [whole([0, 2, 5, 5]), whole([0, 3])]),
        ("Flatten", (), {}, [(2, 3, 4)]),
        ("Flatten", (0, 1), {}, [(2, 3, 4)]),
        ("Fold", ((4, 5), 2), {}, [(1, 12, 12)]),
        ("LazyLinear", (3,), {}, [(4, 5)]),
        ("MaxUnpool1d", (2,), {}, [(1, 1, 2), whole([[[0, 3]]])]),
        ("MaxUnpool2d", (2,), {}, [(1, 1, 2, 2), whole([[[[0, 3], [9, 14]]]])]),
        ("MaxUnpool3d", (2,), {}, [(1, 1, 1, 1, 2), whole([[[[[1, 14]]]]])]),
        ("PairwiseDistance", (2.0,), {"keepdim": True}, [(3, 5), (3, 5)]),
        ("PixelShuffle", (2,), {}, [(1, 8, 2, 2)]),
        ("PixelUnshuffle", (2,), {}, [(1, 2, 4, 4)]),
        ("Sequential", (nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), {}, [(5, 3)]),
        (
            "TransformerDecoder",
            (nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2),
            {},
            [(3, 2, 4), (5, 2, 4)],
        ),
        ("TripletMarginLoss", (0.5,), {"swap": True}, [(3, 5)] * 3),
        (
            "TripletMarginWithDistanceLoss",
            (),
            {"distance_function": nn.PairwiseDistance()},
            [(3, 5)] * 3,
        ),
        ("Unflatten", (1, (2, 3)), {}, [(4, 6)]),
        ("Unfold", ((2, 3),), {}, [(2, 3, 4, 5)]),
        ("Upsample", (), {"scale_factor": 2}, [(1, 2, 3, 3)]),
        ("Upsample", (), {"size": 5, "mode": "bicubic", "align_corners": True}, [(1, 2, 3, 3)]),
        ("UpsamplingBilinear2d", (), {"scale_factor": 2}, [(1, 2, 3, 3)]),
        ("UpsamplingNearest2d", ((4, 5),), {}, [(1, 2, 3, 3)]),
    ]
    inputs = {}
    for name, args, kwargs, values in rows:
        values = [
            torch.randn(value, requires_grad=True) if isinstance(value, tuple) else value
            for value in values
        ]
        inputs.setdefault(f"nn.{name}", []).append(
            ModuleInput(FunctionInput(*args, **kwargs), FunctionInput(*values))
        )
    return inputs
