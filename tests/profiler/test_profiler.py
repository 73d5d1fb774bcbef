"""The profilers: what they record, their tables and traces, schedules against PyTorch's."""

from __future__ import annotations

import gzip
import json
import warnings

import pytest
import torch

import flashlight
from flashlight import profiler
from flashlight.autograd import profiler as autograd_profiler

CPU = [profiler.ProfilerActivity.CPU]


def work(module=flashlight):
    x = module.ones(4, 3, requires_grad=True)
    y = (x @ module.ones(3, 2)).relu()
    y.sum().backward()
    return x


def names(events):
    return [event.name for event in events]


def test_operations_and_annotations_nest():
    with profiler.profile(activities=CPU) as prof:
        with profiler.record_function("part"):
            x = flashlight.ones(4, 3)
            x @ x.t()
        flashlight.exp(x)
    part = next(event for event in prof.events() if event.name == "part")
    assert part.is_user_annotation
    assert "aten::matmul" in names(part.cpu_children)
    outside = next(event for event in prof.events() if event.name == "aten::exp")
    assert outside.cpu_parent is None
    assert part.cpu_time_total >= sum(child.cpu_time_total for child in part.cpu_children)
    assert part.self_cpu_time_total == pytest.approx(
        part.cpu_time_total - sum(child.cpu_time_total for child in part.cpu_children)
    )


def test_one_event_for_an_operation_and_its_kernel():
    with profiler.profile(activities=CPU) as prof:
        flashlight.ones(3).relu().sum()
    assert names(prof.events()).count("aten::relu") == 1
    assert names(prof.events()).count("aten::sum") == 1


def test_backward_is_recorded():
    with profiler.profile(activities=CPU) as prof:
        work()
    assert "aten::threshold_backward" in names(prof.events())


def test_nothing_is_recorded_before_and_after():
    work()
    with profiler.profile(activities=CPU) as prof:
        flashlight.exp(flashlight.ones(2))
    work()
    assert set(names(prof.events())) <= {"aten::exp", "aten::ones"}


def test_averages_add_up():
    with profiler.profile(activities=CPU, record_shapes=True) as prof:
        for size in (2, 3, 3):
            flashlight.exp(flashlight.ones(size))
    (average,) = [item for item in prof.key_averages() if item.key == "aten::exp"]
    assert average.count == 3
    assert average.cpu_time_total == pytest.approx(
        sum(event.cpu_time_total for event in prof.events() if event.name == "aten::exp")
    )
    by_shape = prof.key_averages(group_by_input_shape=True)
    counts = {str(i.input_shapes): i.count for i in by_shape if i.key == "aten::exp"}
    assert counts == {"[[2]]": 1, "[[3]]": 2}


def test_tables_have_the_columns_of_pytorch():
    rows = []
    for module in (torch, flashlight):
        with module.profiler.profile() as prof, module.profiler.record_function("part"):
            work(module)
        rows.append(prof.key_averages().table(sort_by="cpu_time_total", row_limit=3))
    for column in ("Name", "Self CPU %", "Self CPU", "CPU total", "CPU time avg", "# of Calls"):
        assert all(column in row for row in rows)
    assert all("part" in row and "Self CPU time total" in row for row in rows)
    body = rows[1].split("\n")
    assert len([line for line in body if "%" in line and "Self" not in line]) == 3


def test_memory_and_flops():
    with profiler.profile(profile_memory=True, with_flops=True) as prof:
        kept = flashlight.ones(64, 32) @ flashlight.ones(32, 16)
    product = next(event for event in prof.events() if event.name == "aten::matmul")
    assert product.flops == 2 * 64 * 32 * 16
    # MLX may give a cached buffer that is a little larger.
    assert kept.numel() * 4 <= product.memory <= kept.numel() * 8
    assert "CPU Mem" in prof.key_averages().table()


def test_a_chrome_trace(tmp_path):
    options = {"with_stack": True, "record_shapes": True}
    with profiler.profile(**options) as prof, profiler.record_function("part"):
        work()
    prof.add_metadata("note", "text")
    prof.add_metadata_json("numbers", "[1, 2]")
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    prof.export_chrome_trace(str(tmp_path / "trace.json.gz"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    with gzip.open(tmp_path / "trace.json.gz", "rt") as file:
        assert json.load(file)["traceEvents"] == trace["traceEvents"]
    assert (trace["note"], trace["numbers"]) == ("text", [1, 2])
    events = {event["name"]: event for event in reversed(trace["traceEvents"])}
    assert events["part"]["cat"] == "user_annotation"
    product = events["aten::matmul"]
    assert (product["ph"], product["cat"]) == ("X", "cpu_op")
    assert product["args"]["Input Dims"] == [[4, 3], [3, 2]]
    assert "test_profiler.py" in product["args"]["Call stack"]
    part = events["part"]
    assert part["ts"] <= product["ts"]
    assert product["ts"] + product["dur"] <= part["ts"] + part["dur"]


def test_stacks_for_flame_graphs(tmp_path):
    with profiler.profile(with_stack=True) as prof:
        work()
    prof.export_stacks(str(tmp_path / "stacks"))
    lines = (tmp_path / "stacks").read_text().splitlines()
    assert lines
    for line in lines:
        frames, count = line.rsplit(" ", 1)
        assert int(count) > 0
        assert "test_profiler.py" in frames
    with profiler.profile() as prof, pytest.raises(AssertionError, match="with_stack"):
        prof.export_stacks(str(tmp_path / "stacks"))


@pytest.mark.parametrize(
    "options",
    [
        {"wait": 1, "warmup": 1, "active": 2, "repeat": 2},
        {"wait": 0, "warmup": 1, "active": 1},
        {"wait": 2, "warmup": 1, "active": 1, "skip_first": 3},
        {"wait": 2, "warmup": 1, "active": 1, "skip_first": 1, "skip_first_wait": 1, "repeat": 1},
    ],
)
def test_schedules(options):
    schedules = [module.profiler.schedule(**options) for module in (torch, flashlight)]
    actions = [[schedule(step).name for step in range(14)] for schedule in schedules]
    assert actions[0] == actions[1]


def test_a_schedule_calls_back_when_a_cycle_is_done():
    seen = []
    for module in (torch, flashlight):
        ready = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with module.profiler.profile(
                activities=[module.profiler.ProfilerActivity.CPU],
                schedule=module.profiler.schedule(wait=1, warmup=1, active=2, repeat=2),
                on_trace_ready=lambda prof, ready=ready: ready.append(
                    (
                        prof.step_num,
                        [(e.key, e.count) for e in prof.key_averages() if "Step" in e.key],
                    )
                ),
            ) as prof:
                for _ in range(9):
                    module.exp(module.ones(2))
                    prof.step()
        seen.append(ready)
    assert seen[0] == seen[1]
    assert [step for step, _ in seen[1]] == [4, 8]


def test_cycles_are_kept_on_request():
    counts = []
    for keep in (False, True):
        with profiler.profile(
            schedule=profiler.schedule(wait=0, warmup=1, active=1, repeat=2), acc_events=keep
        ) as prof:
            for _ in range(5):
                flashlight.exp(flashlight.ones(2))
                prof.step()
        counts.append(names(prof.events()).count("aten::exp"))
    assert counts == [1, 2]


def test_traces_go_where_tensorboard_finds_them(tmp_path):
    with profiler.profile(
        on_trace_ready=profiler.tensorboard_trace_handler(str(tmp_path), worker_name="me")
    ):
        work()
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("me.")
    assert path.name.endswith(".pt.trace.json")


def test_record_function_decorates():
    @autograd_profiler.record_function("whole")
    def task():
        return flashlight.exp(flashlight.ones(2))

    with autograd_profiler.profile() as prof:
        task()
        task()
    assert names(prof.function_events).count("whole") == 2


def test_optimizers_are_marked():
    marks = []
    for module in (torch, flashlight):
        parameter = module.ones(2, requires_grad=True)
        optimizer = module.optim.SGD([parameter], lr=0.1)
        parameter.grad = module.ones(2)
        with module.profiler.profile() as prof:
            optimizer.step()
            optimizer.zero_grad()
        marks.append({e.key for e in prof.key_averages() if "Optimizer" in e.key})
    assert marks[0] == marks[1]


@pytest.mark.parametrize(
    "misuse",
    [
        lambda t: t.profiler.schedule(wait=-1, warmup=0, active=1),
        lambda t: t.profiler.schedule(wait=0, warmup=1, active=0),
        lambda t: t.profiler.profile(activities=[]),
        lambda t: t.profiler.profile().key_averages(),
        lambda t: t.profiler.profile().events(),
        lambda t: t.profiler.schedule(wait=0, warmup=1, active=1)(-1),
    ],
)
def test_misuse_raises_alike(misuse):
    raised = []
    for module in (torch, flashlight):
        with pytest.raises(Exception) as caught:
            misuse(module)
        raised.append(caught.type)
    assert raised[0] is raised[1]


def test_vendors_tools_say_that_they_are_missing():
    with pytest.raises(RuntimeError, match=r"torch\.profiler"), autograd_profiler.emit_nvtx():
        pass


def test_a_context_is_not_entered_twice():
    prof = autograd_profiler.profile()
    assert repr(prof) == repr(torch.autograd.profiler.profile())
    with prof:
        pass
    with pytest.raises(RuntimeError, match="reentrant"), prof:
        pass
