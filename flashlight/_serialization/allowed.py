"""What a `weights_only` load may name, call and build, and the user's additions to it.

The list is PyTorch's. Calls are checked more closely than there: no argument from a file can
make an allowed function allocate what the file does not hold, or import a codec.
"""

from __future__ import annotations

import _codecs
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from pickle import UnpicklingError
from types import MethodType
from typing import Any

import flashlight as torch

from . import names
from .errors import CorruptCheckpoint
from .restricted import check_key, modern_name
from .storage_types import storage_type

BLOCKED_MODULES = ("sys", "os", "posix", "nt")

_user_globals: list[Any] = []


def add_safe_globals(safe_globals: list[Callable | tuple[Callable, str]]) -> None:
    """Allow functions or classes, or pairs of one and its full name, in `weights_only` loads."""
    for item in safe_globals:
        if not _contains(_user_globals, item):
            _user_globals.append(item)


def get_safe_globals() -> list[Callable | tuple[Callable, str]]:
    """What has been allowed in addition to the default list."""
    return list(_user_globals)


def clear_safe_globals() -> None:
    """Forget what has been allowed in addition to the default list."""
    _user_globals.clear()


class safe_globals:
    """Context manager that allows `safe_globals` in `weights_only` loads inside it."""

    def __init__(self, safe_globals: list[Callable | tuple[Callable, str]]):
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        kept = [item for item in _user_globals if not _contains(self.safe_globals, item)]
        _user_globals[:] = kept


def user_globals() -> dict[str, Any]:
    """The user's additions by the full name a checkpoint gives them.

    Raises ValueError or TypeError for an entry that is neither a callable nor a pair.
    """
    found: dict[str, Any] = {}
    for item in _user_globals:
        if isinstance(item, tuple):
            if len(item) != 2:
                raise ValueError(
                    "an entry of the safe globals must be a callable or a pair (callable, full "
                    f"name), but got a tuple of length: {len(item)}"
                )
            item, name = item
            if type(name) is not str:
                raise TypeError(
                    "the second item of a pair in the safe globals must be the full name of the "
                    f"callable, but got: {type(name)}"
                )
            found[name] = item
        else:
            saved = names.saved_name(item, item.__qualname__)
            found[".".join(saved or (item.__module__, item.__qualname__))] = item
    return found


def is_default(full_name: str) -> bool:
    """True if the name is allowed without the user's doing."""
    module, _, name = full_name.rpartition(".")
    if names.is_theirs(module) and storage_type(name) is not None:
        return True
    return full_name in _defaults()


class WeightsOnly:
    """The policy of `weights_only` loads, for `restricted.RestrictedUnpickler`."""

    def __init__(self) -> None:
        self._user = user_globals()

    def find(self, module: str, name: str) -> Any:
        """The allowed object of that name; Python 2's names of modules are understood."""
        module, _, name = modern_name(module, name).rpartition(".")
        # Plain pickles of ours name our own modules.
        module = names.to_theirs(module)
        full_name = f"{module}.{name}"
        if module.partition(".")[0] in BLOCKED_MODULES:
            raise UnpicklingError(
                f"Trying to load unsupported GLOBAL {full_name} whose module {module} is blocked."
            )
        if names.is_theirs(module):
            kind = storage_type(name)
            if kind is not None:
                return kind
        defaults = _defaults()
        if full_name in defaults:
            return defaults[full_name]
        if full_name in self._user:
            return self._user[full_name]
        shown = full_name.removeprefix("builtins.")
        raise UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. If you "
            f"trust it, allow it with `torch.serialization.add_safe_globals([{shown}])` or, for "
            f"a while, with `torch.serialization.safe_globals([{shown}])`."
        )

    def call(self, function: Any, arguments: tuple) -> Any:
        """`function(*arguments)`, for allowed functions and sane arguments."""
        checked = _checked_calls().get(id(function))
        if checked is not None:
            return checked(self, *arguments)
        if self._is_users(function):
            return function(*arguments)
        raise UnpicklingError(f"Trying to call reduce for unrecognized function {function!r:.200}")

    def create(self, cls: Any, arguments: tuple) -> Any:
        """A new instance, for allowed classes."""
        checked = _checked_calls().get(id(cls))
        if checked is not None:
            return checked(self, *arguments)
        if isinstance(cls, type) and self._is_users(cls):
            return cls.__new__(cls, *arguments)
        raise UnpicklingError(
            "Can only create new object for nn.Parameter or classes allowlisted via "
            f"`add_safe_globals` but got {cls!r:.200}"
        )

    def build(self, instance: Any, state: Any) -> None:
        """Set the state of a tensor, an OrderedDict or an instance of an allowed class."""
        kind = type(instance)
        if kind in (OrderedDict, Counter):
            _update_attributes(instance, state)
        elif kind is torch.Tensor or kind is torch.nn.Parameter:
            _direct(torch._tensor._set_legacy_state)(self, instance, state)
        elif self._is_users(kind):
            set_state = getattr(instance, "__setstate__", None)
            if set_state is not None:
                set_state(state)
            else:
                set_object_state(instance, state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {kind}"
            )

    def _is_users(self, item: Any) -> bool:
        return _contains(self._user.values(), item)


def set_object_state(instance: Any, state: Any) -> None:
    """Restore attributes and slots, as unpickling an ordinary object does."""
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        _update_attributes(instance, state)
    for name, value in (slots or {}).items():
        setattr(instance, name, value)


def _update_attributes(instance: Any, state: Any) -> None:
    if not isinstance(state, dict) or not all(type(name) is str for name in state):
        raise UnpicklingError(f"the state of a {type(instance).__name__} must be a dict of names")
    instance.__dict__.update(state)


def _contains(items: Iterable[Any], wanted: Any) -> bool:
    # By identity: `==` of what a file put together could run anything. Methods are made anew at
    # each access, so those compare by what they are bound to.
    for item in items:
        if item is wanted:
            return True
        both = (item, wanted)
        if all(isinstance(one, MethodType) for one in both):
            if item.__func__ is wanted.__func__ and item.__self__ is wanted.__self__:
                return True
        elif all(isinstance(one, tuple) and len(one) == 2 for one in both) and (
            item[0] is wanted[0] and item[1] == wanted[1]
        ):
            return True
    return False


_caches: dict[str, dict] = {}


def _defaults() -> dict[str, Any]:
    if "names" not in _caches:
        table: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "collections.Counter": Counter,
            "torch.nn.parameter.Parameter": torch.nn.Parameter,
            "torch.serialization._get_layout": torch.serialization._get_layout,
            "torch.Size": torch.Size,
            "torch.Tensor": torch.Tensor,
            "torch.device": torch.device,
            "torch._tensor._rebuild_from_type_v2": torch._tensor._rebuild_from_type_v2,
            "_codecs.encode": _codecs.encode,
            "builtins.bytearray": bytearray,
            "builtins.set": set,
            "builtins.complex": complex,
        }
        for function in torch._utils.REBUILD_FUNCTIONS:
            table[f"torch._utils.{function.__name__}"] = function
        for value in vars(torch).values():
            if isinstance(value, torch.dtype):
                table[repr(value)] = value
        _caches["names"] = table
    return _caches["names"]


def _checked_calls() -> dict[int, Callable]:
    if "calls" not in _caches:
        checks = {
            OrderedDict: _call_mapping(OrderedDict),
            Counter: _call_mapping(Counter),
            torch.nn.Parameter: _call_parameter,
            torch.serialization._get_layout: _direct(torch.serialization._get_layout),
            torch.Size: _direct(torch.Size),
            torch.Tensor: _call_tensor,
            torch.device: _direct(torch.device),
            torch._tensor._rebuild_from_type_v2: _call_rebuild_from_type,
            _codecs.encode: _call_encode,
            bytearray: _call_bytearray,
            set: _call_set,
            complex: _direct(complex),
        }
        for function in torch._utils.REBUILD_FUNCTIONS:
            checks[function] = _direct(function)
        _caches["calls"] = {id(function): check for function, check in checks.items()}
    return _caches["calls"]


def _direct(function: Callable) -> Callable:
    def call(policy: WeightsOnly, *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except RuntimeError as error:
            if isinstance(error, UnpicklingError):
                raise
            raise CorruptCheckpoint(f"{function.__name__}: {error}") from error

    return call


def _call_mapping(kind: type) -> Callable:
    def call(policy: WeightsOnly, *arguments: Any) -> Any:
        if not arguments:
            return kind()
        (items,) = arguments
        if type(items) in (dict, OrderedDict, Counter):
            items = list(items.items())
        if type(items) not in (list, tuple):
            raise UnpicklingError(f"{kind.__name__} of a {type(items).__name__} in a checkpoint")
        made = kind()
        for key, value in items:
            check_key(key)
            made[key] = value
        return made

    return call


def _call_parameter(policy: WeightsOnly, *arguments: Any) -> Any:
    if arguments and not isinstance(arguments[0], torch.Tensor):
        raise UnpicklingError("a Parameter in a checkpoint must be made of a Tensor")
    return torch.nn.Parameter(*arguments)


def _call_tensor(policy: WeightsOnly, *arguments: Any) -> Any:
    if arguments:
        raise UnpicklingError("torch.Tensor may be called without arguments only in a checkpoint")
    return torch.empty(0)


def _call_rebuild_from_type(
    policy: WeightsOnly, function: Any, cls: Any, arguments: tuple, state: Any
) -> Any:
    if not (isinstance(cls, type) and issubclass(cls, torch.Tensor)):
        raise UnpicklingError(f"{cls!r:.200} is no class of tensors")
    made = policy.call(function, arguments)
    return torch._tensor._with_type_and_state(made, cls, state)


def _call_encode(policy: WeightsOnly, text: Any, encoding: Any = "utf-8") -> bytes:
    _check_encoding(encoding)
    return _codecs.encode(text, encoding)


def _call_bytearray(policy: WeightsOnly, *arguments: Any) -> bytearray:
    if arguments and type(arguments[0]) not in (bytes, bytearray, str):
        raise UnpicklingError("a bytearray in a checkpoint must be made of bytes")
    for encoding in arguments[1:]:
        _check_encoding(encoding)
    return bytearray(*arguments)


def _check_encoding(encoding: Any) -> None:
    # Looking a codec up imports a module named after it.
    if encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise UnpicklingError(f"encoding {encoding!r:.50} is not used by pickles")


def _call_set(policy: WeightsOnly, *arguments: Any) -> set:
    made = set()
    for items in arguments:
        if type(items) not in (list, tuple, set):
            raise UnpicklingError("a set in a checkpoint must be made of a list")
        for item in items:
            check_key(item)
            made.add(item)
    return made
