"""State dicts: keys, messages, hooks, strictness, assignment, versions."""

from __future__ import annotations

import pytest

from tests.nn.both import raised, same, warned


def build(torch):
    nn = torch.nn
    return nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3), nn.Linear(4, 2, bias=False))


def test_keys_values_and_metadata():
    def program(torch):
        model = build(torch)
        state = model.state_dict(prefix="net.")
        return (
            dict(state),
            dict(state._metadata),
            model.state_dict(keep_vars=True)["0.weight"].requires_grad,
        )

    same(program)


def test_values_share_memory():
    def program(torch):
        model = build(torch)
        model.state_dict()["0.bias"].fill_(7)
        return model[0].bias

    same(program)


def changed(torch, **changes):
    state = build(torch).state_dict()
    for key, value in changes.items():
        key = key.replace("_at_", ".")
        if value is None:
            del state[key]
        else:
            state[key] = value
    return state


@pytest.mark.parametrize("strict", [True, False])
def test_missing_unexpected_and_misshapen_keys(strict):
    def program(torch):
        model = build(torch)
        outcomes = []
        for state in (
            changed(torch),
            changed(torch, **{"0.bias": None}),
            changed(torch, **{"extra": torch.ones(1), "0.other": torch.ones(2)}),
            changed(torch, **{"1.weight": None, "1.more": torch.ones(1), "2.x.y": torch.ones(1)}),
            changed(torch, **{"0.weight": torch.ones(2, 2)}),
            changed(torch, **{"0.weight": [1.0]}),
            changed(torch, **{"0.weight": torch.ones(2, 2), "2.weight": None, "z": 1}),
            changed(torch, **{"1.num_batches_tracked": torch.ones(1, dtype=torch.int64)}),
        ):
            results = []
            outcomes.append(raised(lambda: results.append(model.load_state_dict(state, strict))))  # noqa: B023
            outcomes.append([repr(result) for result in results])
        return outcomes

    same(program)


def test_not_a_mapping():
    same(lambda torch: raised(lambda: build(torch).load_state_dict([1])))


def test_assign_keeps_the_given_tensors():
    def program(torch):
        model = build(torch)
        model[2].requires_grad_(False)
        given = {key: value.double() for key, value in build(torch).state_dict().items()}
        model.load_state_dict(given, assign=True)
        param = model[2].weight
        return (
            [(str(p.dtype), p.requires_grad, type(p).__name__) for p in model.parameters()],
            param.data_ptr() == given["2.weight"].data_ptr(),
        )

    same(program)


def test_meta_parameters():
    def program(torch):
        model = torch.nn.Linear(2, 2, device="meta")
        state = torch.nn.Linear(2, 2).state_dict()
        warnings = warned(lambda: model.load_state_dict(state))
        model.load_state_dict(state, assign=True)
        return warnings, str(model.weight.device)

    same(program)


def test_non_persistent_buffers():
    def program(torch):
        model = torch.nn.Module()
        model.register_buffer("kept", torch.ones(1))
        model.register_buffer("lost", torch.ones(1), persistent=False)
        model.assigned = torch.nn.Buffer(torch.zeros(2), persistent=False)
        first = list(model.state_dict())
        model.lost = torch.zeros(3)
        model.kept = None
        second = list(model.state_dict()), [name for name, _ in model.named_buffers()]
        model.register_buffer("lost", torch.ones(1))
        return first, second, list(model.state_dict())

    same(program)


def test_extra_state():
    def program(torch):
        class Counter(torch.nn.Module):
            count = 3

            def get_extra_state(self):
                return {"count": self.count}

            def set_extra_state(self, state):
                self.count = state["count"]

        model = torch.nn.Sequential(Counter(), torch.nn.Linear(1, 1))
        state = model.state_dict()
        other = torch.nn.Sequential(Counter(), torch.nn.Linear(1, 1))
        other[0].count = 0
        other.load_state_dict(state)
        plain = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(1, 1))
        keys = list(state)
        outcome = raised(lambda: plain.load_state_dict(state))
        del state["0._extra_state"]
        return keys, other[0].count, outcome, raised(lambda: other.load_state_dict(state))

    same(program)


def test_state_dict_hooks():
    def program(torch):
        model, calls = build(torch), []
        model[0].register_state_dict_pre_hook(lambda m, prefix, keep: calls.append((prefix, keep)))
        model[0].register_state_dict_post_hook(
            lambda m, state, prefix, meta: state.pop(prefix + "bias") is None or None
        )
        model[1]._register_state_dict_hook(
            lambda m, state, prefix, meta: calls.append((prefix, dict(meta)))
        )
        model[2].register_state_dict_post_hook(lambda m, state, prefix, meta: state)
        keys = raised(lambda: calls.append(list(model.state_dict())))
        return calls, keys

    same(program)


def test_load_state_dict_hooks():
    def program(torch):
        model, calls = build(torch), []

        def rename(state, prefix, *rest):
            state[prefix + "weight"] = state.pop(prefix + "old")

        def forgive(m, keys):
            keys.missing_keys.clear()

        model[2]._register_load_state_dict_pre_hook(rename)
        model[0].register_load_state_dict_pre_hook(
            lambda m, state, prefix, meta, strict, missing, unexpected, errors: calls.append(
                (type(m).__name__, prefix, strict, len(missing))
            )
        )
        model.register_load_state_dict_post_hook(forgive)
        state = changed(torch, **{"0.bias": None})
        state["2.old"] = state.pop("2.weight")
        model.load_state_dict(state)
        model[1].register_load_state_dict_post_hook(lambda m, keys: keys)
        state["2.old"] = state["0.weight"][:2, :, 0].repeat(1, 2)
        return calls, raised(lambda: model.load_state_dict(state))

    same(program)


def test_positional_arguments_are_deprecated():
    def program(torch):
        model, found = torch.nn.Linear(1, 1), []
        warnings = warned(lambda: found.append(list(model.state_dict({}, "a."))))
        return warnings, found

    same(program)


def test_states_of_old_versions():
    def program(torch):
        norm = torch.nn.BatchNorm1d(2)
        old = {key: value for key, value in norm.state_dict().items() if "batches" not in key}
        norm.load_state_dict(old)
        instance = torch.nn.InstanceNorm1d(2)
        stale = {"running_mean": torch.ones(2), "running_var": torch.ones(2)}
        return norm.num_batches_tracked, raised(lambda: instance.load_state_dict(stale))

    same(program)


def test_prefix_is_consumed():
    def program(torch):
        state = build(torch).state_dict(prefix="module.")
        torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
        return list(state), list(state._metadata)

    same(program)


def test_swapping_on_load():
    def program(torch):
        model = torch.nn.Linear(2, 2)
        before = model.weight
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            model.load_state_dict({"weight": torch.ones(2, 2), "bias": torch.zeros(2)})
            model.double()
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
        return model.weight is before, str(before.dtype), before

    same(program)
