"""What a program sees that is run by `python -m flashlight`; prints it as JSON."""

import importlib.metadata
import importlib.util
import json
import pickle
import sys

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader


class Config:
    """Defined in the program, so that pickle has to find it in __main__."""

    def __init__(self, rate):
        self.rate = rate


def error_of(action):
    try:
        action()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def import_from_torch():
    from torch import fx

    return fx


def import_missing_module():
    import torch.fx.graph

    return torch.fx


def import_internals():
    import torch._ops

    return torch._ops


def facts():
    import flashlight
    import mlx_compat
    import mlx_compat.nn.functional as functional_of_old_name

    distribution = importlib.metadata.distribution("torch")
    return {
        "argv": sys.argv,
        "first path": sys.path[0],
        "file": __file__,
        "spec": __spec__ if __spec__ is None else __spec__.name,
        "same module": torch is flashlight is mlx_compat is sys.modules["torch"],
        "same submodules": nn is flashlight.nn
        and F is flashlight.nn.functional is functional_of_old_name
        and DataLoader is flashlight.utils.data.DataLoader,
        "all loaded modules are aliased": all(
            sys.modules.get("torch" + name.removeprefix("flashlight")) is module
            for name, module in list(sys.modules.items())
            if name.startswith("flashlight.") and not name.startswith("flashlight.compat")
            and not name.startswith("flashlight._") and name != "flashlight.__main__"
        ),
        "specs are their own": [torch.__spec__.name, nn.__spec__.name],
        "found": [
            importlib.util.find_spec(name) is not None
            for name in ("torch", "torch.nn", "torch.nn.functional", "torch.optim.adam")
        ],
        "absent": [
            importlib.util.find_spec(name) is None for name in ("torch.nothing", "torch.fx")
        ],
        "version": [importlib.metadata.version("torch"), torch.__version__],
        "distribution": distribution.metadata["Name"],
        "listed first": next(
            found.version
            for found in importlib.metadata.distributions()
            if found.metadata["Name"] == "torch"
        ),
        "real torch": any(
            name.partition(".")[0] == "torch" and not module.__name__.startswith("flashlight")
            for name, module in sys.modules.items()
        ),
        "pickled": isinstance(pickle.loads(pickle.dumps(Config(0.5))), Config),
        "pickled class": pickle.loads(pickle.dumps(nn.Linear)) is nn.Linear,
        "attribute": error_of(lambda: torch.fx),
        "import from": error_of(import_from_torch),
        "import": error_of(import_missing_module),
        "internals": error_of(import_internals),
        "computed": torch.tensor([1.0, 2.0]).add(1).tolist(),
    }


def fail():
    raise KeyError("on purpose")


if __name__ == "__main__":
    if "--fail" in sys.argv:
        fail()
    print(json.dumps(facts()))
