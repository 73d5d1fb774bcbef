"""One function for each kind of entry in a log, all returning TensorBoard's Summary."""

from __future__ import annotations

import io
import json
import wave
from typing import Any

import numpy as np
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.pr_curve.plugin_data_pb2 import PrCurvePluginData
from tensorboard.plugins.text.plugin_data_pb2 import TextPluginData

import flashlight as torch
from flashlight.utils.tensorboard import _images
from flashlight.utils.tensorboard._convert_np import make_np

__all__ = [
    "audio",
    "compute_curve",
    "custom_scalars",
    "histogram",
    "histogram_raw",
    "hparams",
    "image",
    "image_boxes",
    "make_histogram",
    "mesh",
    "pr_curve",
    "pr_curve_raw",
    "scalar",
    "tensor_proto",
    "text",
    "video",
]


def _metadata(plugin: str, content: bytes = b"") -> SummaryMetadata:
    data = SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return SummaryMetadata(plugin_data=data)


def _shape(*sizes: int) -> TensorShapeProto:
    return TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in sizes])


def scalar(
    name: str,
    tensor: Any,
    collections: Any = None,
    new_style: bool = False,
    double_precision: bool = False,
) -> Summary:
    """Return a number. Raises AssertionError for a tensor of several elements."""
    value = make_np(tensor).squeeze()
    if value.ndim != 0:
        raise AssertionError(
            "Tensor should contain one element (0 dimensions). Was given size: "
            f"{value.size} and {value.ndim} dimensions."
        )
    number = float(value)
    if not new_style:
        return Summary(value=[Summary.Value(tag=name, simple_value=number)])
    if double_precision:
        proto = TensorProto(double_val=[number], dtype="DT_DOUBLE")
    else:
        proto = TensorProto(float_val=[number], dtype="DT_FLOAT")
    entry = Summary.Value(tag=name, tensor=proto, metadata=_metadata("scalars"))
    return Summary(value=[entry])


def _half_bits(tensor: torch.Tensor) -> list[int]:
    # PyTorch puts the bits of the value as float32 here, and readers expect that.
    return tensor.float().flatten().cpu().numpy().view(np.int32).tolist()


def _numbers(tensor: torch.Tensor) -> list:
    return tensor.flatten().tolist()


def _complex_parts(tensor: torch.Tensor) -> list[float]:
    return torch.view_as_real(tensor).flatten().tolist()


_TENSOR_TYPES = {
    torch.float16: ("DT_HALF", "half_val", _half_bits),
    torch.bfloat16: ("DT_BFLOAT16", "half_val", _half_bits),
    torch.float32: ("DT_FLOAT", "float_val", _numbers),
    torch.float64: ("DT_DOUBLE", "double_val", _numbers),
    torch.int8: ("DT_INT8", "int_val", _numbers),
    torch.uint8: ("DT_UINT8", "uint32_val", _numbers),
    torch.int16: ("DT_INT16", "int_val", _numbers),
    torch.int32: ("DT_INT32", "int_val", _numbers),
    torch.int64: ("DT_INT64", "int64_val", _numbers),
    torch.bool: ("DT_BOOL", "bool_val", _numbers),
    torch.complex64: ("DT_COMPLEX64", "scomplex_val", _complex_parts),
}


def tensor_proto(tag: str, tensor: torch.Tensor) -> Summary:
    """Return a whole tensor. Raises ValueError for 2 GiB or more, and for unknown dtypes."""
    if tensor.numel() * tensor.itemsize >= 1 << 31:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    if tensor.dtype not in _TENSOR_TYPES:
        raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
    dtype, field, convert = _TENSOR_TYPES[tensor.dtype]
    proto = TensorProto(
        dtype=dtype, tensor_shape=_shape(*tensor.shape), **{field: convert(tensor.detach())}
    )
    entry = Summary.Value(tag=tag, metadata=_metadata("tensor"), tensor=proto)
    return Summary(value=[entry])


def histogram_raw(
    name: str,
    min: float,
    max: float,
    num: int,
    sum: float,
    sum_squares: float,
    bucket_limits: list,
    bucket_counts: list,
) -> Summary:
    """Return a histogram that has been counted already."""
    proto = HistogramProto(
        min=min,
        max=max,
        num=num,
        sum=sum,
        sum_squares=sum_squares,
        bucket_limit=bucket_limits,
        bucket=bucket_counts,
    )
    return Summary(value=[Summary.Value(tag=name, histo=proto)])


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Summary:
    """Return a histogram of values, with bins as NumPy takes them."""
    proto = make_histogram(make_np(values).astype(float), bins, max_bins)
    return Summary(value=[Summary.Value(tag=name, histo=proto)])


def make_histogram(values: np.ndarray, bins: Any, max_bins: int | None = None) -> HistogramProto:
    """Count values in bins; empty bins at both ends but one are left out.

    Raises ValueError for no values.
    """
    if values.size == 0:
        raise ValueError("The input has no element.")
    values = values.reshape(-1)
    counts, limits = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        step = len(counts) // max_bins
        counts = np.pad(counts, (0, -len(counts) % step)).reshape(-1, step).sum(axis=-1)
        limits = np.append(limits[:-1:step], limits[-1])
    filled = np.flatnonzero(counts)
    if filled.size == 0:
        raise ValueError("The histogram is empty: all values are outside of the bins.")
    first, last = int(filled[0]), int(filled[-1])
    # TensorBoard wants an empty bin first, and for each count the bin's right limit.
    counts = np.concatenate([[0], counts])[first : last + 2]
    return HistogramProto(
        min=values.min(),
        max=values.max(),
        num=len(values),
        sum=values.sum(),
        sum_squares=values.dot(values),
        bucket_limit=limits[first : last + 2].tolist(),
        bucket=counts.tolist(),
    )


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Summary:
    """Return an image, or several in a grid."""
    pixels = _images.to_bytes(_images.convert_to_HWC(make_np(tensor), dataformats))
    entry = Summary.Value(tag=tag, image=_images.make_image(pixels, rescale=rescale))
    return Summary(value=[entry])


def image_boxes(
    tag: str,
    tensor_image: Any,
    tensor_boxes: Any,
    rescale: float = 1,
    dataformats: str = "CHW",
    labels: list[str] | None = None,
) -> Summary:
    """Return an image with boxes (x0, y0, x1, y1) drawn on it."""
    pixels = _images.to_bytes(_images.convert_to_HWC(make_np(tensor_image), dataformats))
    picture = _images.make_image(pixels, rescale, make_np(tensor_boxes), labels)
    return Summary(value=[Summary.Value(tag=tag, image=picture)])


def video(tag: str, tensor: Any, fps: float = 4) -> Summary:
    """Return films (N, T, C, H, W) side by side."""
    pixels = _images.to_bytes(_images.arrange_films(make_np(tensor)))
    return Summary(value=[Summary.Value(tag=tag, image=_images.make_video(pixels, fps))])


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Summary:
    """Return a sound (L,) or (1, L) of amplitude 1. Raises AssertionError for several channels."""
    samples = make_np(tensor).squeeze()
    if samples.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    if abs(samples).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        samples = samples.clip(-1, 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples * np.iinfo(np.int16).max).astype("<i2").tobytes())
    sound = Summary.Audio(
        sample_rate=sample_rate,
        num_channels=1,
        length_frames=len(samples),
        encoded_audio_string=buffer.getvalue(),
        content_type="audio/wav",
    )
    return Summary(value=[Summary.Value(tag=tag, audio=sound)])


def text(tag: str, text: str) -> Summary:
    """Return a text in Markdown."""
    proto = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=_shape(1))
    metadata = _metadata("text", TextPluginData(version=0).SerializeToString())
    entry = Summary.Value(tag=f"{tag}/text_summary", metadata=metadata, tensor=proto)
    return Summary(value=[entry])


def custom_scalars(layout: dict[str, dict[str, list]]) -> Summary:
    """Return the layout of charts: {category: {title: ["Multiline" or "Margin", tags]}}."""
    categories = []
    for category, titles in layout.items():
        charts = []
        for title, (kind, tags) in titles.items():
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("a Margin chart needs three tags: value, lower, upper")
                value, lower, upper = tags
                series = layout_pb2.MarginChartContent.Series(value=value, lower=lower, upper=upper)
                content = {"margin": layout_pb2.MarginChartContent(series=[series])}
            else:
                content = {"multiline": layout_pb2.MultilineChartContent(tag=tags)}
            charts.append(layout_pb2.Chart(title=title, **content))
        categories.append(layout_pb2.Category(title=category, chart=charts))
    page = layout_pb2.Layout(category=categories).SerializeToString()
    proto = TensorProto(dtype="DT_STRING", string_val=[page], tensor_shape=TensorShapeProto())
    entry = Summary.Value(
        tag="custom_scalars__config__", tensor=proto, metadata=_metadata("custom_scalars")
    )
    return Summary(value=[entry])


def _curve(tag: str, data: np.ndarray, num_thresholds: int) -> Summary:
    content = PrCurvePluginData(version=0, num_thresholds=num_thresholds).SerializeToString()
    proto = TensorProto(
        dtype="DT_FLOAT", float_val=data.reshape(-1).tolist(), tensor_shape=_shape(*data.shape)
    )
    entry = Summary.Value(tag=tag, metadata=_metadata("pr_curves", content), tensor=proto)
    return Summary(value=[entry])


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = 127,
    weights: Any = None,
) -> Summary:
    """Return a precision-recall curve that has been counted already."""
    columns = [make_np(column) for column in (tp, fp, tn, fn, precision, recall)]
    return _curve(tag, np.stack(columns), min(num_thresholds, 127))


def pr_curve(
    tag: str, labels: Any, predictions: Any, num_thresholds: int = 127, weights: Any = None
) -> Summary:
    """Return the precision-recall curve of predictions in [0, 1]."""
    num_thresholds = min(num_thresholds, 127)
    data = compute_curve(labels, predictions, num_thresholds=num_thresholds, weights=weights)
    return _curve(tag, data, num_thresholds)


def compute_curve(
    labels: np.ndarray, predictions: np.ndarray, num_thresholds: int = 127, weights: Any = None
) -> np.ndarray:
    """Return true and false positives and negatives, precision and recall by threshold, (6, T)."""
    weights = 1.0 if weights is None else weights
    buckets = np.int32(np.floor(predictions * (num_thresholds - 1)))
    positive = labels.astype(np.float64)

    def at_or_above(weight: np.ndarray) -> np.ndarray:
        span = (0, num_thresholds - 1)
        counts, _ = np.histogram(buckets, bins=num_thresholds, range=span, weights=weight)
        return np.cumsum(counts[::-1])[::-1]

    tp = at_or_above(positive * weights)
    fp = at_or_above((1.0 - positive) * weights)
    tn, fn = fp[0] - fp, tp[0] - tp
    least = 1e-7
    precision = tp / np.maximum(least, tp + fp)
    recall = tp / np.maximum(least, tp + fn)
    return np.stack((tp, fp, tn, fn, precision, recall))


def mesh(
    tag: str,
    vertices: Any,
    colors: Any,
    faces: Any,
    config_dict: dict | None,
    display_name: str | None = None,
    description: str | None = None,
) -> Summary:
    """Return a mesh, or a cloud of points: (N, V, 3) vertices, colors, and (N, F, 3) faces."""
    from tensorboard.plugins.mesh import metadata
    from tensorboard.plugins.mesh.plugin_data_pb2 import MeshPluginData

    config = "{}" if config_dict is None else json.dumps(config_dict, sort_keys=True)
    parts = [
        (make_np(part), kind)
        for part, kind in (
            (vertices, MeshPluginData.VERTEX),
            (faces, MeshPluginData.FACE),
            (colors, MeshPluginData.COLOR),
        )
        if part is not None
    ]
    components = metadata.get_components_bitmask([kind for _, kind in parts])
    entries = []
    for part, kind in parts:
        about = metadata.create_summary_metadata(
            tag, display_name, kind, components, part.shape, description, json_config=config
        )
        proto = TensorProto(
            dtype="DT_FLOAT", float_val=part.reshape(-1).tolist(), tensor_shape=_shape(*part.shape)
        )
        name = metadata.get_instance_name(tag, kind)
        entries.append(Summary.Value(tag=name, tensor=proto, metadata=about))
    return Summary(value=entries)


def hparams(
    hparam_dict: dict,
    metric_dict: dict,
    hparam_domain_discrete: dict[str, list] | None = None,
) -> tuple[Summary, Summary, Summary]:
    """Return the experiment, the start and the end of a run with these hyperparameters.

    Raises TypeError for other than dicts, ValueError for values that are no numbers or strings.
    """
    from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
    from tensorboard.plugins.hparams import metadata as names

    domains = hparam_domain_discrete or {}
    for name, value in (
        ("hparam_dict", hparam_dict),
        ("metric_dict", metric_dict),
        ("hparam_domain_discrete", domains),
    ):
        if not isinstance(value, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    start = plugin_data_pb2.SessionStartInfo()
    infos = []
    for key, value in hparam_dict.items():
        if value is not None:
            infos.append(_hparam(start, key, value, domains.get(key)))

    def entry(tag: str, **content: Any) -> Summary:
        data = plugin_data_pb2.HParamsPluginData(version=names.PLUGIN_DATA_VERSION, **content)
        metadata = _metadata(names.PLUGIN_NAME, data.SerializeToString())
        return Summary(value=[Summary.Value(tag=tag, metadata=metadata)])

    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=key)) for key in metric_dict]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=metrics)
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.Status.Value("STATUS_SUCCESS"))
    return (
        entry(names.EXPERIMENT_TAG, experiment=experiment),
        entry(names.SESSION_START_INFO_TAG, session_start_info=start),
        entry(names.SESSION_END_INFO_TAG, session_end_info=end),
    )


def _hparam(start: Any, key: str, value: Any, domain: list | None) -> Any:
    """Set a hyperparameter at the start of a run, and return what there is to know of it."""
    from google.protobuf import struct_pb2
    from tensorboard.plugins.hparams import api_pb2

    if isinstance(value, torch.Tensor):
        value = value.item()
    if isinstance(value, (int, float)):  # bools count as numbers, as with PyTorch
        kind, field = "DATA_TYPE_FLOAT64", "number_value"
    elif isinstance(value, str):
        kind, field = "DATA_TYPE_STRING", "string_value"
    else:
        raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")
    setattr(start.hparams[key], field, value)
    choices = None
    if domain is not None:
        if not all(isinstance(choice, type(value)) for choice in domain):
            raise TypeError(
                f"parameter: hparam_domain_discrete[{key}] should be a list of same type as "
                f"hparam_dict[{key}]."
            )
        values = [struct_pb2.Value(**{field: choice}) for choice in domain]
        choices = struct_pb2.ListValue(values=values)
    return api_pb2.HParamInfo(name=key, type=api_pb2.DataType.Value(kind), domain_discrete=choices)
