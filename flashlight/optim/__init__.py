"""Optimizers, learning rate schedulers and weight averaging.

https://docs.pytorch.org/docs/2.13/optim.html
"""

from __future__ import annotations

from flashlight.optim import lr_scheduler as lr_scheduler
from flashlight.optim import swa_utils as swa_utils
from flashlight.optim._adafactor import Adafactor
from flashlight.optim._muon import Muon
from flashlight.optim._stateless import swap_in_optimizer_params_and_state
from flashlight.optim.adadelta import Adadelta
from flashlight.optim.adagrad import Adagrad
from flashlight.optim.adam import Adam
from flashlight.optim.adamax import Adamax
from flashlight.optim.adamw import AdamW
from flashlight.optim.asgd import ASGD
from flashlight.optim.lbfgs import LBFGS
from flashlight.optim.nadam import NAdam
from flashlight.optim.optimizer import Optimizer
from flashlight.optim.radam import RAdam
from flashlight.optim.rmsprop import RMSprop
from flashlight.optim.rprop import Rprop
from flashlight.optim.sgd import SGD
from flashlight.optim.sparse_adam import SparseAdam

# PyTorch shows these under the package's name, although their files are private.
for _public in (Adafactor, Muon, swap_in_optimizer_params_and_state):
    _public.__module__ = __name__

__all__ = [
    "Adafactor",
    "Adadelta",
    "Adagrad",
    "Adam",
    "Adamax",
    "AdamW",
    "ASGD",
    "LBFGS",
    "lr_scheduler",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
    "swap_in_optimizer_params_and_state",
    "swa_utils",
]
