"""Logs for TensorBoard: entry by entry what PyTorch's writer writes."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.utils.tensorboard
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from torch.utils.tensorboard import summary as their_summary

import flashlight
import flashlight.utils.tensorboard
from flashlight.utils.tensorboard import summary as our_summary

LIBRARIES = {"ours": flashlight, "theirs": torch}


def _events(folder: Path) -> dict:
    """The events of each file below a folder, by the folder of the file, without times."""
    found = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        events = list(LegacyEventFileLoader(str(file)).Load())
        for event in events:
            event.wall_time = 0
            event.ClearField("source_metadata")
        found[str(file.parent.relative_to(folder))] = [str(event) for event in events]
    return found


def _others(folder: Path) -> dict:
    files = [path for path in folder.rglob("*") if path.is_file() and "tfevents" not in path.name]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _text(folder: Path) -> str:
    return "".join(event for events in _events(folder).values() for event in events)


def _written(tmp_path, program, **options):
    for name, library in LIBRARIES.items():
        with library.utils.tensorboard.SummaryWriter(tmp_path / name, **options) as writer:
            program(library, writer)
    ours, theirs = _events(tmp_path / "ours"), _events(tmp_path / "theirs")
    assert sum(map(len, theirs.values())) > 1
    return ours, theirs


def _ramp(l, *size):
    count = int(np.prod(size))
    return l.tensor(np.linspace(0, 1, count).reshape(size), dtype=l.float32)


def _tensors(l, writer):
    for index, name in enumerate((
        "float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64",
        "bool", "complex64",
    )):  # fmt: skip
        kind = getattr(l, name)
        writer.add_tensor(name, l.tensor([[1, 0], [3, 4]]).to(kind), index)


def _boxes(l, writer):
    boxes = l.tensor([[2.0, 3, 12, 10], [5, 5, 15, 15]])
    picture = _ramp(l, 3, 20, 24)
    writer.add_image_with_boxes("plain", picture, boxes)
    writer.add_image_with_boxes("labelled", picture, boxes, labels=["a", "b"], rescale=2)
    writer.add_image_with_boxes("one", picture, boxes[:1], labels="c", global_step=3)
    writer.add_image_with_boxes("too few", picture, boxes, labels=["a"])


def _images(l, writer):
    writer.add_image("chw", _ramp(l, 3, 5, 7), 1)
    writer.add_image("hwc", _ramp(l, 5, 7, 3), dataformats="HWC")
    writer.add_image("hw", _ramp(l, 5, 7), dataformats="HW")
    writer.add_image("bytes", l.arange(105).reshape(3, 5, 7).to(l.uint8))
    writer.add_image("gray", _ramp(l, 1, 5, 7))
    writer.add_images("nchw", _ramp(l, 5, 3, 4, 6))
    writer.add_images("nhwc", _ramp(l, 3, 4, 6, 1), dataformats="NHWC")


def _histograms(l, writer):
    values = l.tensor(np.sin(np.arange(50.0) * 3))
    writer.add_histogram("default", values, 2)
    writer.add_histogram("auto", values, bins="auto")
    writer.add_histogram("few", values, bins=20, max_bins=6)
    writer.add_histogram("numpy", np.arange(12).reshape(3, 4), bins=[0, 3, 5, 12])
    writer.add_histogram_raw("raw", 0, 5, 6, 15.0, 55.0, [1.0, 3.0, 6.0], [1, 2, 3], 4)


def _curves(l, writer):
    labels = l.tensor([0, 1, 1, 0, 1, 1, 0, 1])
    scores = l.tensor([0.1, 0.9, 0.6, 0.4, 0.2, 1.0, 0.0, 0.5])
    writer.add_pr_curve("curve", labels, scores, 1)
    writer.add_pr_curve("coarse", labels, scores, num_thresholds=5, weights=np.arange(8.0))
    parts = [l.tensor(part) for part in np.arange(18.0).reshape(6, 3)]
    writer.add_pr_curve_raw("raw", *parts, num_thresholds=3)


def _meshes(l, writer):
    vertices = _ramp(l, 1, 4, 3)
    faces = l.tensor([[[0, 1, 2], [1, 2, 3]]])
    colors = l.arange(12).reshape(1, 4, 3)
    writer.add_mesh("cloud", vertices)
    writer.add_mesh("mesh", vertices, colors, faces, {"camera": {"fov": 45}}, 3)


def _charts(l, writer):
    writer.add_custom_scalars_multilinechart(["a", "b"], "letters", "some")
    writer.add_custom_scalars_marginchart(["a", "b", "c"])
    writer.add_custom_scalars({
        "one": {"x": ["Multiline", ["p", "q"]], "y": ["Margin", ["p", "q", "r"]]},
        "two": {"z": ["Multiline", ["s"]]},
    })  # fmt: skip


def _scalars(l, writer):
    writer.add_scalar("number", 1.5, 3)
    writer.add_scalar("tensor", l.tensor([2.5]), 4, walltime=7.0)
    writer.add_scalar("new", l.tensor(2.5), 5, new_style=True)
    writer.add_scalar("double", 0.1, new_style=True, double_precision=True)
    writer.add_scalar("numpy", np.float64(3))
    writer.add_scalars("main/tag", {"a": 1, "b": l.tensor(2.0)}, 6)
    writer.add_scalars("main/tag", {"a": 3}, 7)
    writer.add_text("text", "# title", 8)


def _sounds(l, writer):
    writer.add_audio("sound", l.sin(l.arange(0, 60, 0.5)), 1)
    writer.add_audio("row", _ramp(l, 1, 30) * 3, sample_rate=8000)


def _hparams(l, writer):
    writer.add_hparams(
        {"lr": 0.1, "name": "a", "on": True, "size": 3, "none": None, "tensor": l.tensor([1.5])},
        {"loss": 0.5, "accuracy": l.tensor(0.75)}, {"lr": [0.1, 0.2], "name": ["a", "b"]},
        run_name="run", global_step=9,
    )  # fmt: skip


@pytest.mark.parametrize("program", [
    _scalars, _tensors, _images, _boxes, _histograms, _curves, _meshes, _charts, _sounds, _hparams,
])  # fmt: skip
def test_events(program, tmp_path, capsys):
    ours, theirs = _written(tmp_path, program)
    assert ours == theirs
    printed = capsys.readouterr().out
    half = len(printed) // 2
    assert printed[:half] == printed[half:]  # one after the other


def test_purged_steps_and_suffixes(tmp_path):
    ours, theirs = _written(
        tmp_path, lambda l, writer: writer.add_scalar("x", 1, 8), purge_step=5, filename_suffix=".s"
    )
    assert ours == theirs
    assert all(file.name.endswith(".s") for file in (tmp_path / "ours").iterdir())


def test_a_closed_writer_opens_a_new_file(tmp_path):
    def program(l, writer):
        writer.add_scalar("x", 1)
        writer.flush()
        writer.close()
        writer.close()
        writer.flush()
        assert writer.get_logdir() == writer.log_dir

    ours, theirs = _written(tmp_path, program)
    assert ours == theirs
    writer = flashlight.utils.tensorboard.FileWriter(tmp_path / "file")
    writer.add_summary(our_summary.scalar("late", 3.0), 4)
    writer.flush()
    assert writer.get_logdir() == str(tmp_path / "file")
    writer.close()
    assert "late" in _text(tmp_path / "file")


def test_the_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for library in LIBRARIES.values():
        with library.utils.tensorboard.SummaryWriter(comment="_c") as writer:
            assert re.fullmatch(r"runs/\w{3}\d\d_\d\d-\d\d-\d\d_.*_c", writer.get_logdir())


def test_embeddings(tmp_path, capsys):
    def program(l, writer):
        vectors = _ramp(l, 5, 3)
        writer.add_embedding(vectors)
        writer.add_embedding(vectors, list("abcde"), _ramp(l, 5, 3, 4, 4), 2, "a/b")
        writer.add_embedding(
            vectors, [[i, -i] for i in range(5)], tag="t", metadata_header=["p", "q"]
        )
        writer.add_embedding(vectors)
        for options in (
            {"mat": vectors[0]}, {"mat": vectors, "metadata": ["a"]},
            {"mat": vectors, "label_img": _ramp(l, 2, 3, 4, 4)},
            {"mat": vectors, "metadata": [[1]] * 5, "metadata_header": ["a", "b"], "tag": "wrong"},
        ):  # fmt: skip
            with pytest.raises(AssertionError):
                writer.add_embedding(**options)
        writer.add_scalar("x", 1)

    ours, theirs = _written(tmp_path, program)
    assert ours == theirs
    ours, theirs = _others(tmp_path / "ours"), _others(tmp_path / "theirs")
    assert set(ours) == set(theirs)
    assert {name for name in ours if ours[name] != theirs[name]} == set()
    assert capsys.readouterr().out.startswith("warning: Embedding dir exists")


def test_figures(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")

    def program(l, writer):
        figures = [pyplot.figure(figsize=(1, 1), dpi=30) for _ in range(3)]
        for figure in figures:
            figure.gca().plot([0, 1], [1, 0])
        writer.add_figure("one", figures[0], 1)
        writer.add_figure("two", figures[1:], close=False)
        assert pyplot.get_fignums() == [figure.number for figure in figures[1:]]
        pyplot.close("all")

    ours, theirs = _written(tmp_path, program)
    assert ours == theirs


def test_a_film_is_an_animation(tmp_path):
    from io import BytesIO

    from PIL import Image

    film = _ramp(flashlight, 2, 4, 3, 8, 10)
    entry = our_summary.video("film", film, 5).value[0]
    picture = Image.open(BytesIO(entry.image.encoded_image_string))
    assert (entry.tag, picture.format, picture.n_frames) == ("film", "GIF", 4)
    assert picture.size == (entry.image.width, entry.image.height) == (20, 8)
    with flashlight.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_video("film", (film * 255).to(flashlight.uint8), 1)
    assert "film" in _text(tmp_path)


class _Net(flashlight.nn.Module):
    def __init__(self):
        super().__init__()
        self.one = flashlight.nn.Linear(3, 4)
        self.rest = flashlight.nn.Sequential(flashlight.nn.ReLU(), flashlight.nn.Linear(4, 2))

    def forward(self, x):
        return self.rest(self.one(x)) + 1


def test_graphs(tmp_path, capsys):
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    with flashlight.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_graph(_Net(), flashlight.ones(5, 3), verbose=True)
    assert "input/0 = IO Node([])" in capsys.readouterr().out
    (file,) = tmp_path.iterdir()
    events = list(LegacyEventFileLoader(str(file)).Load())
    graph = GraphDef.FromString(next(e.graph_def for e in events if e.graph_def))
    nodes = {node.name: node for node in graph.node}
    assert {"_Net/one/weight", "_Net/rest/1/bias", "input/0", "output/0"} <= set(nodes)
    (linear,) = (node for name, node in nodes.items() if name.startswith("_Net/Linear[one]/"))
    assert list(linear.input)[:2] == ["input/0", "_Net/one/weight"]
    shape = linear.attr["_output_shapes"].list.shape[0]
    assert [dim.size for dim in shape.dim] == [5, 4]
    (source,) = nodes["output/0"].input
    assert nodes[source].op == "aten::add"


@pytest.mark.parametrize("program", [
    lambda l, s: s.scalar("x", l.ones(2)), lambda l, s: s.histogram("x", l.zeros(0), 3),
    lambda l, s: s.histogram("x", l.ones(3), [5, 6, 7, 8]), lambda l, s: s.audio("x", l.ones(2, 3)),
    lambda l, s: s.tensor_proto("x", l.ones(1).expand(1 << 30)),
    lambda l, s: s.hparams([], {}), lambda l, s: s.hparams({"x": []}, {}),
    lambda l, s: s.hparams({}, 3), lambda l, s: s.hparams({}, {}, [1]),
    lambda l, s: s.hparams({"x": 1}, {}, {"x": ["a"]}),
    lambda l, s: s.custom_scalars({"a": {"b": ["Margin", ["c"]]}}),
    lambda l, s: s.image("x", l.ones(2, 3, 4)), lambda l, s: s.image("x", l.ones(2, 3), dataformats="CHW"),
    lambda l, s: s.image("x", l.ones(2, 3), dataformats="HH"),
    lambda l, s: s.image("x", "picture"), lambda l, s: s.video("x", l.ones(2, 3)),
])  # fmt: skip
def test_errors(program):
    with pytest.raises(Exception) as theirs:
        program(torch, their_summary)
    with pytest.raises(theirs.type):
        program(flashlight, our_summary)


def test_errors_of_the_writer(tmp_path):
    for library in LIBRARIES.values():
        with library.utils.tensorboard.SummaryWriter(tmp_path) as writer:
            with pytest.raises(ValueError):
                writer.add_histogram_raw("x", 0, 1, 1, 1, 1, [1], [])
            with pytest.raises(TypeError):
                writer.add_hparams(SimpleNamespace(), {})
            with pytest.raises(AssertionError):
                writer.add_custom_scalars_marginchart(["a"])


def test_without_the_package(monkeypatch):
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "flashlight.utils.tensorboard")
    with pytest.raises(ImportError, match="pip install tensorboard"):
        importlib.import_module("flashlight.utils.tensorboard")
