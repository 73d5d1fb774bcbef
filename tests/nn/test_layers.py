"""Every layer once: output, gradients and text against PyTorch's, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from tests.nn.both import raised, same, warned

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor:UserWarning")


def values(torch, *shape, seed=0, positive=False):
    drawn = np.random.default_rng([seed, *shape]).normal(size=shape).astype("f")
    return torch.from_numpy(np.abs(drawn) + 0.1 if positive else drawn).requires_grad_()


def carried(torch, module):
    """Give `module` weights that are the same everywhere, and return it."""
    rng = np.random.default_rng(3)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.is_floating_point():
                drawn = np.abs(rng.normal(0, 0.5, tuple(tensor.shape)))
                tensor.copy_(torch.from_numpy(drawn.astype("f")))
    return module


def outcome(torch, module, inputs):
    """Return text, outputs and gradients, in training and in evaluation mode."""
    results = [str(module)]
    for mode in (True, False):
        carried(torch, module.train(mode))
        module.zero_grad()
        for x in inputs:
            if x.requires_grad:
                x.grad = None
        output = module(*inputs)
        outputs = output if isinstance(output, tuple) else (output,)
        total = sum(
            (y * values(torch, *y.shape, seed=9).detach()).sum()
            for y in outputs
            if y.is_floating_point()
        )
        if total.requires_grad:
            total.backward()
        results += [list(outputs), [x.grad for x in inputs if x.requires_grad]]
        results.append([p.grad for p in module.parameters()])
        results.append(list(module.buffers()))
    return results


IMAGE = (2, 4, 6, 6)
LAYERS = {
    # activations
    "CELU": (lambda nn: nn.CELU(0.7), [(3, 4)]),
    "ELU": (lambda nn: nn.ELU(0.7, inplace=False), [(3, 4)]),
    "GELU": (lambda nn: nn.GELU("tanh"), [(3, 4)]),
    "GLU": (lambda nn: nn.GLU(0), [(4, 3)]),
    "Hardshrink": (lambda nn: nn.Hardshrink(0.4), [(3, 4)]),
    "Hardsigmoid": (lambda nn: nn.Hardsigmoid(), [(3, 4)]),
    "Hardswish": (lambda nn: nn.Hardswish(), [(3, 4)]),
    "Hardtanh": (lambda nn: nn.Hardtanh(-0.5, 0.7), [(3, 4)]),
    "LeakyReLU": (lambda nn: nn.LeakyReLU(0.2), [(3, 4)]),
    "LogSigmoid": (lambda nn: nn.LogSigmoid(), [(3, 4)]),
    "LogSoftmax": (lambda nn: nn.LogSoftmax(1), [(3, 4)]),
    "Mish": (lambda nn: nn.Mish(), [(3, 4)]),
    "PReLU": (lambda nn: nn.PReLU(4), [(3, 4)]),
    "ReLU": (lambda nn: nn.ReLU(), [(3, 4)]),
    "ReLU6": (lambda nn: nn.ReLU6(), [(3, 4)]),
    "SELU": (lambda nn: nn.SELU(), [(3, 4)]),
    "SiLU": (lambda nn: nn.SiLU(), [(3, 4)]),
    "Sigmoid": (lambda nn: nn.Sigmoid(), [(3, 4)]),
    "Softmax": (lambda nn: nn.Softmax(-1), [(3, 4)]),
    "Softmax2d": (lambda nn: nn.Softmax2d(), [(2, 3, 2, 2)]),
    "Softmin": (lambda nn: nn.Softmin(0), [(3, 4)]),
    "Softplus": (lambda nn: nn.Softplus(2.0, 5.0), [(3, 4)]),
    "Softshrink": (lambda nn: nn.Softshrink(0.3), [(3, 4)]),
    "Softsign": (lambda nn: nn.Softsign(), [(3, 4)]),
    "Tanh": (lambda nn: nn.Tanh(), [(3, 4)]),
    "Tanhshrink": (lambda nn: nn.Tanhshrink(), [(3, 4)]),
    "Threshold": (lambda nn: nn.Threshold(0.1, 2.0), [(3, 4)]),
    # convolutions
    "Conv1d": (lambda nn: nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2), [(2, 4, 9)]),
    "Conv2d same": (lambda nn: nn.Conv2d(4, 3, (2, 3), padding="same", dilation=2), [IMAGE]),
    "Conv2d reflect": (lambda nn: nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"), [IMAGE]),
    "Conv3d": (lambda nn: nn.Conv3d(2, 3, 2, bias=False), [(1, 2, 3, 3, 3)]),
    "ConvTranspose1d": (lambda nn: nn.ConvTranspose1d(4, 2, 3, 2, 1, 1), [(2, 4, 5)]),
    "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(4, 6, 3, 2, groups=2), [IMAGE]),
    "ConvTranspose3d": (lambda nn: nn.ConvTranspose3d(2, 3, 2), [(1, 2, 2, 2, 2)]),
    "Linear": (lambda nn: nn.Linear(4, 3), [(2, 5, 4)]),
    "Bilinear": (lambda nn: nn.Bilinear(2, 3, 4), [(5, 2), (5, 3)]),
    "Identity": (lambda nn: nn.Identity(1, 2, a=3), [(2,)]),
    # pooling
    "MaxPool1d": (lambda nn: nn.MaxPool1d(2, padding=1), [(2, 3, 7)]),
    "MaxPool2d": (lambda nn: nn.MaxPool2d((2, 3), 2, return_indices=True), [IMAGE]),
    "MaxPool3d": (lambda nn: nn.MaxPool3d(2, ceil_mode=True), [(1, 2, 3, 4, 5)]),
    "AvgPool1d": (lambda nn: nn.AvgPool1d(2, 1), [(2, 3, 7)]),
    "AvgPool2d": (lambda nn: nn.AvgPool2d(2, count_include_pad=False, padding=1), [IMAGE]),
    "AvgPool3d": (lambda nn: nn.AvgPool3d(2, divisor_override=3), [(1, 2, 4, 4, 4)]),
    "LPPool1d": (lambda nn: nn.LPPool1d(2, 2), [(2, 3, 6)]),
    "LPPool2d": (lambda nn: nn.LPPool2d(2, 2, 1), [IMAGE]),
    "AdaptiveMaxPool1d": (lambda nn: nn.AdaptiveMaxPool1d(3), [(2, 3, 7)]),
    "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d((3, None)), [IMAGE]),
    "AdaptiveAvgPool1d": (lambda nn: nn.AdaptiveAvgPool1d(3), [(2, 3, 7)]),
    "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d(4), [IMAGE]),
    "AdaptiveAvgPool3d": (lambda nn: nn.AdaptiveAvgPool3d(2), [(1, 2, 3, 4, 5)]),
    # padding
    "CircularPad1d": (lambda nn: nn.CircularPad1d((1, 2)), [(2, 3, 4)]),
    "CircularPad2d": (lambda nn: nn.CircularPad2d((1, 2, 0, -1)), [IMAGE]),
    "CircularPad3d": (lambda nn: nn.CircularPad3d(1), [(1, 2, 3, 3, 3)]),
    "ConstantPad1d": (lambda nn: nn.ConstantPad1d(2, 3.5), [(2, 3, 4)]),
    "ConstantPad2d": (lambda nn: nn.ConstantPad2d((1, -2, 3, 0), 1.0), [IMAGE]),
    "ConstantPad3d": (lambda nn: nn.ConstantPad3d(1, 0), [(1, 2, 3, 3, 3)]),
    "ReflectionPad1d": (lambda nn: nn.ReflectionPad1d((2, 1)), [(2, 3, 4)]),
    "ReflectionPad2d": (lambda nn: nn.ReflectionPad2d((2, -1, 0, 3)), [IMAGE]),
    "ReflectionPad3d": (lambda nn: nn.ReflectionPad3d(1), [(1, 2, 3, 3, 3)]),
    "ReplicationPad1d": (lambda nn: nn.ReplicationPad1d(2), [(2, 3, 4)]),
    "ReplicationPad2d": (lambda nn: nn.ReplicationPad2d((7, -1, 0, 3)), [IMAGE]),
    "ReplicationPad3d": (lambda nn: nn.ReplicationPad3d((1, 0, 2, 0, 0, 1)), [(1, 2, 3, 3, 3)]),
    "ZeroPad1d": (lambda nn: nn.ZeroPad1d(1), [(2, 3)]),
    "ZeroPad2d": (lambda nn: nn.ZeroPad2d((1, 0, 0, 2)), [IMAGE]),
    "ZeroPad3d": (lambda nn: nn.ZeroPad3d(1), [(1, 2, 3, 3, 3)]),
    # normalisation
    "BatchNorm1d": (lambda nn: nn.BatchNorm1d(4), [(5, 4)]),
    "BatchNorm2d": (lambda nn: nn.BatchNorm2d(4, momentum=None, affine=False), [IMAGE]),
    "BatchNorm3d": (lambda nn: nn.BatchNorm3d(2, track_running_stats=False), [(2, 2, 3, 3, 3)]),
    "SyncBatchNorm": (lambda nn: nn.SyncBatchNorm(4, bias=False), [(5, 4)]),
    "InstanceNorm1d": (lambda nn: nn.InstanceNorm1d(4, affine=True), [(2, 4, 5)]),
    "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(4, track_running_stats=True), [(4, 6, 6)]),
    "InstanceNorm3d": (lambda nn: nn.InstanceNorm3d(2), [(2, 2, 3, 3, 3)]),
    "LayerNorm": (lambda nn: nn.LayerNorm((6, 6), bias=False), [IMAGE]),
    "GroupNorm": (lambda nn: nn.GroupNorm(2, 4), [IMAGE]),
    "RMSNorm": (lambda nn: nn.RMSNorm(6), [IMAGE]),
    "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(3, alpha=0.1), [IMAGE]),
    "CrossMapLRN2d": (lambda nn: nn.CrossMapLRN2d(3, alpha=0.1), [IMAGE]),
    # shapes
    "ChannelShuffle": (lambda nn: nn.ChannelShuffle(2), [IMAGE]),
    "PixelShuffle": (lambda nn: nn.PixelShuffle(2), [IMAGE]),
    "PixelUnshuffle": (lambda nn: nn.PixelUnshuffle(3), [IMAGE]),
    "Flatten": (lambda nn: nn.Flatten(1, 2), [IMAGE]),
    "Unflatten": (lambda nn: nn.Unflatten(1, (2, 2)), [IMAGE]),
    "Unfold": (lambda nn: nn.Unfold((2, 3), dilation=2, padding=1, stride=(1, 2)), [IMAGE]),
    "Fold": (lambda nn: nn.Fold((4, 5), (2, 3), stride=2, padding=1), [(2, 12, 9)]),
    "Upsample": (lambda nn: nn.Upsample(scale_factor=(2, 1.5), mode="bilinear"), [IMAGE]),
    "UpsamplingNearest2d": (lambda nn: nn.UpsamplingNearest2d(9), [IMAGE]),
    "UpsamplingBilinear2d": (lambda nn: nn.UpsamplingBilinear2d(scale_factor=2), [IMAGE]),
    "CosineSimilarity": (lambda nn: nn.CosineSimilarity(0), [(3, 4), (3, 4)]),
    "PairwiseDistance": (lambda nn: nn.PairwiseDistance(3.0, keepdim=True), [(3, 4), (3, 4)]),
    # losses
    "L1Loss": (lambda nn: nn.L1Loss(), [(3, 4), (3, 4)]),
    "MSELoss": (lambda nn: nn.MSELoss(reduction="sum"), [(3, 4), (3, 4)]),
    "SmoothL1Loss": (lambda nn: nn.SmoothL1Loss(beta=0.5), [(3, 4), (3, 4)]),
    "HuberLoss": (lambda nn: nn.HuberLoss("none", 0.5), [(3, 4), (3, 4)]),
    "KLDivLoss": (lambda nn: nn.KLDivLoss(reduction="sum", log_target=True), [(3, 4), (3, 4)]),
    "PoissonNLLLoss": (lambda nn: nn.PoissonNLLLoss(), [(3, 4), (3, 4)]),
    "BCEWithLogitsLoss": (lambda nn: nn.BCEWithLogitsLoss(), [(3, 4), (3, 4)]),
    "HingeEmbeddingLoss": (lambda nn: nn.HingeEmbeddingLoss(0.3), [(3, 4), (3, 4)]),
    "MultiLabelSoftMarginLoss": (lambda nn: nn.MultiLabelSoftMarginLoss(), [(3, 4), (3, 4)]),
    "MarginRankingLoss": (lambda nn: nn.MarginRankingLoss(0.1), [(3,), (3,), (3,)]),
    "TripletMarginLoss": (lambda nn: nn.TripletMarginLoss(0.5, swap=True), [(3, 4)] * 3),
    "TripletMarginWithDistanceLoss": (
        lambda nn: nn.TripletMarginWithDistanceLoss(margin=2.0),
        [(3, 4)] * 3,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    make, shapes = LAYERS[name]

    def program(torch):
        inputs = [values(torch, *shape, seed=i) for i, shape in enumerate(shapes)]
        return outcome(torch, make(torch.nn), inputs)

    same(program, rtol=2e-4, atol=2e-5)


def test_losses_of_classes():
    def program(torch):
        nn = torch.nn
        x, classes = values(torch, 3, 4), torch.tensor([1, 0, 3])
        weight = torch.tensor([1.0, 2.0, 0.5, 1.0])
        labels = torch.tensor([[1, 0, -1, 2], [3, -1, 0, 0], [0, 1, 2, 3]])
        probabilities = values(torch, 3, 4, seed=1).softmax(1).detach()
        return [
            outcome(torch, nn.NLLLoss(ignore_index=1), [x, classes]),
            nn.NLLLoss(weight)(x, classes),
            nn.CrossEntropyLoss(weight, label_smoothing=0.1)(x, classes),
            nn.CrossEntropyLoss()(x, probabilities),
            nn.MultiMarginLoss(2, 0.5)(x, classes),
            nn.MultiLabelMarginLoss()(x, labels),
            nn.BCELoss(weight)(x.sigmoid(), probabilities),
            nn.GaussianNLLLoss(full=True)(x, probabilities, x.abs() + 1),
            nn.CosineEmbeddingLoss(0.1)(x, probabilities, torch.tensor([1, -1, 1])),
            nn.KLDivLoss(reduction="batchmean")(x, probabilities),
            nn.CTCLoss()(values(torch, 5, 2, 4).log_softmax(2), labels[:2, :1], (5, 4), (1, 1)),
            warned(lambda: nn.NLLLoss2d()),
            warned(lambda: nn.L1Loss(size_average=False)),
            nn.SoftMarginLoss()(x, probabilities),
        ]

    same(program)


def test_linear_cross_entropy():
    def program(torch):
        nn = torch.nn
        options = nn.LinearCrossEntropyOptions
        x, classes = values(torch, 3, 4), torch.tensor([1, 0, 2])
        module = carried(torch, nn.LinearCrossEntropyLoss(4, 5, bias=True, ignore_index=0))
        loss = module(x, classes)
        loss.backward()
        F = torch.nn.functional
        weight = values(torch, 5, 4, seed=2)
        many = values(torch, 5, 2, 4, seed=3)
        return [
            str(module),
            loss,
            x.grad,
            module.linear.weight.grad,
            F.linear_cross_entropy(x, many, torch.tensor([[1, 0], [2, 3], [4, 1]])),
            F.linear_cross_entropy(x, weight, classes, options=options(batch_chunk_size=2)),
            F.linear_cross_entropy(x[0], weight, classes[0], reduction="sum"),
            str(options(acc_policy="compact")),
            raised(lambda: options(acc_policy="none")),
            raised(lambda: options(chunking_method="none")),
            raised(lambda: options(chunking_method="aspect_ratio:0")),
            raised(lambda: options(batch_chunk_size=0)),
            raised(lambda: options(acc_dtype=torch.int32)),
            raised(lambda: F.linear_cross_entropy(x.unsqueeze(0), weight, classes)),
            raised(lambda: F.linear_cross_entropy(x, weight[0], classes)),
            raised(lambda: F.linear_cross_entropy(x, weight[:, :3], classes)),
            raised(lambda: F.linear_cross_entropy(x, weight, classes, linear_bias=x[0])),
            raised(lambda: F.linear_cross_entropy(x[0], many, classes[:2])),
            raised(lambda: F.linear_cross_entropy(x, weight, x @ weight.t(), ignore_index=1)),
            raised(lambda: nn.LinearCrossEntropyLoss(4, 5, weight=torch.ones(4))),
            raised(lambda: nn.LinearCrossEntropyLoss(4, 5, label_smoothing=2.0)),
        ]

    same(program)


def test_unpooling_and_fractional_pooling():
    def program(torch):
        nn = torch.nn
        results = []
        for n, shape in ((1, (2, 3, 6)), (2, (2, 3, 6, 4)), (3, (1, 2, 4, 4, 4))):
            x = values(torch, *shape)
            pool = getattr(nn, f"MaxPool{n}d")(2, return_indices=True)
            unpool = getattr(nn, f"MaxUnpool{n}d")(2)
            y = unpool(*pool(x))
            y.sum().backward()
            results += [str(unpool), y, x.grad]
        samples = torch.full((2, 3, 2), 0.4)
        fractional = nn.FractionalMaxPool2d(2, output_ratio=0.6, _random_samples=samples)
        volume = nn.FractionalMaxPool3d(
            2, (2, 3, 2), return_indices=True, _random_samples=torch.full((1, 2, 3), 0.3)
        )
        results += [fractional(values(torch, 2, 3, 7, 7)), volume(values(torch, 1, 2, 5, 6, 5))]
        results += [
            raised(lambda: nn.FractionalMaxPool2d(2)),
            raised(lambda: nn.FractionalMaxPool3d(2, 2, 0.5)),
            raised(lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5)),
            raised(lambda: nn.FractionalMaxPool3d(0, 2)),
        ]
        return results

    same(program)


def test_embeddings():
    def program(torch):
        nn = torch.nn
        table = carried(torch, nn.Embedding(5, 3, padding_idx=-2, max_norm=1.0))
        found = table(torch.tensor([[0, 3], [2, 2]]))
        found.sum().backward()
        bag = carried(torch, nn.EmbeddingBag(5, 3, mode="sum", padding_idx=1))
        frozen = nn.Embedding.from_pretrained(torch.arange(6.0).reshape(3, 2))
        loose = nn.EmbeddingBag.from_pretrained(torch.arange(6.0).reshape(3, 2), freeze=False)
        return [
            str(table),
            found,
            table.weight.grad,
            str(bag),
            bag(torch.tensor([0, 1, 4]), torch.tensor([0, 2])),
            frozen.weight.requires_grad,
            loose.weight.requires_grad,
            frozen(torch.tensor([2])),
            str(nn.Embedding(4, 2, norm_type=1.0, scale_grad_by_freq=True, sparse=True)),
            raised(lambda: nn.Embedding(3, 2, padding_idx=3)),
            raised(lambda: nn.EmbeddingBag(3, 2, padding_idx=-4)),
            raised(lambda: nn.Embedding(3, 2, _weight=torch.ones(2, 2))),
            raised(lambda: nn.Embedding.from_pretrained(torch.ones(3))),
            raised(lambda: nn.EmbeddingBag.from_pretrained(torch.ones(3))),
        ]

    same(program)


def test_adaptive_softmax():
    def program(torch):
        torch.manual_seed(5)
        nn = torch.nn
        module = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 6], div_value=2.0, head_bias=True)
        x, target = values(torch, 6, 8), torch.tensor([0, 4, 11, 2, 7, 5])
        output, loss = module(x, target)
        loss.backward()
        single = module(x[0], target[0])
        few = module(x[:2], torch.tensor([1, 2]))
        grads = [p.grad for p in module.parameters()]
        predicted = [module.predict(each) for each in (x, x[:1], x * 3)]
        torch.manual_seed(5)
        module.reset_parameters()
        return [
            (output, loss, x.grad, grads, single, few, module.log_prob(x), predicted),
            raised(lambda: module(x, target[:2])),
            raised(lambda: module(x[0], target)),
            raised(lambda: module(x, target[0])),
            raised(lambda: module(x, target.reshape(2, 3))),
            raised(lambda: module(x, target + 5)),
            raised(lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [])),
            raised(lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 3])),
            raised(lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [3, 12])),
        ]

    same(program)


def test_what_layers_refuse():
    def program(torch):
        nn = torch.nn
        x = torch.ones(2, 3, 4)
        return [
            raised(lambda: nn.Conv1d(3, 4, 2, groups=2)),
            raised(lambda: nn.Conv1d(4, 3, 2, groups=2)),
            raised(lambda: nn.Conv1d(4, 4, 2, groups=0)),
            raised(lambda: nn.Conv1d(4, 4, 2, padding="same", stride=2)),
            raised(lambda: nn.Conv1d(4, 4, 2, padding="full"))[0],
            raised(lambda: nn.Conv1d(4, 4, 2, padding_mode="none"))[0],
            raised(lambda: nn.ConvTranspose1d(3, 4, 2, padding_mode="reflect")),
            raised(lambda: nn.ConvTranspose1d(3, 4, 2)(x, output_size=[9])),
            raised(lambda: nn.ConvTranspose1d(3, 4, 2)(x, output_size=[9, 9])),
            nn.ConvTranspose1d(3, 4, 2, stride=2)(x, output_size=[2, 4, 9]).shape,
            raised(lambda: nn.LazyConv1d(2, 3)(x[0, 0])),
            raised(lambda: nn.LazyConv1d(2, 3, groups=2)(x)),
            raised(lambda: nn.Bilinear(0, 2, 3)),
            raised(lambda: nn.Hardtanh(2.0, 1.0)),
            warned(lambda: nn.Hardtanh(min_value=-3.0, max_value=3.0)),
            raised(lambda: nn.Softmax2d()(x[0])),
            raised(lambda: nn.Dropout(1.5)),
            raised(lambda: nn.Unflatten(1, [2.0])),
            raised(lambda: nn.Unflatten(1, 3)),
            raised(lambda: nn.CircularPad1d(1)(x[None])),
            raised(lambda: nn.CircularPad2d(1)(x[0])),
            raised(lambda: nn.BatchNorm1d(3)(x[None])),
            raised(lambda: nn.BatchNorm2d(3)(x)),
            raised(lambda: nn.SyncBatchNorm(3)(x[0, 0])),
            raised(lambda: nn.SyncBatchNorm(3)(x[:, :0])),
            raised(lambda: nn.InstanceNorm1d(5, affine=True)(x)),
            warned(lambda: nn.InstanceNorm1d(5)(x)),
            raised(lambda: nn.InstanceNorm2d(5)(x[0])),
            raised(lambda: nn.GroupNorm(2, 3)),
            raised(lambda: nn.CrossMapLRN2d(3)(x)),
            raised(lambda: nn.HuberLoss(delta="1")),
            raised(lambda: nn.MultiMarginLoss(p=3)),
            raised(lambda: nn.MultiMarginLoss(weight=torch.ones(2, 2))),
            raised(lambda: nn.TripletMarginLoss(margin=0)),
            raised(lambda: nn.TripletMarginWithDistanceLoss(margin=-1)),
            raised(lambda: nn.modules.batchnorm._BatchNorm(3)(x)),
            raised(lambda: nn.modules.lazy.LazyModuleMixin.initialize_parameters(nn.ReLU())),
        ]

    same(program)


def test_sync_batch_norms_are_converted():
    def program(torch):
        nn = torch.nn
        model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3, affine=False))
        model.add_module("inner", nn.Sequential(nn.BatchNorm1d(3)).eval())
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return str(converted), converted.inner[0].training, list(converted.state_dict())

    same(program)


def test_lazy_layers():
    def program(torch):
        nn = torch.nn
        results = []
        for n, shape in ((1, (2, 4, 5)), (2, (2, 4, 5, 5)), (3, (2, 4, 3, 3, 3))):
            for kind, args in (
                ("Conv", (2, 2)),
                ("ConvTranspose", (2, 2)),
                ("BatchNorm", ()),
                ("InstanceNorm", ()),
            ):
                torch.manual_seed(1)
                module = getattr(nn, f"Lazy{kind}{n}d")(*args)
                before = str(module), str(next(iter(module.state_dict().values())))
                output = module(values(torch, *shape))
                results.append((before, str(module), output, list(module._forward_pre_hooks)))
        lazy = nn.LazyLinear(3)
        lazy.load_state_dict(nn.Linear(5, 3).state_dict())
        results += [lazy.weight.shape, type(lazy).__name__, lazy(torch.ones(1, 5)).shape]
        fresh = nn.LazyLinear(3)
        other = nn.LazyLinear(3)
        other.load_state_dict(fresh.state_dict())
        results += [
            other.has_uninitialized_params(),
            str(fresh.double().weight.dtype),
            raised(lambda: fresh.weight.shape),
            raised(lambda: fresh.weight + 1)[0],
            raised(lambda: fresh.share_memory()),
            raised(lambda: fresh._replicate_for_data_parallel()),
            raised(lambda: nn.Linear(2, 3).load_state_dict(nn.LazyLinear(3).state_dict())),
        ]
        return results

    same(program)
