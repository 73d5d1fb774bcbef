"""An unpickler that runs nothing: it knows the opcodes and asks a policy for everything else.

Python's own unpickler imports whatever a file names and calls it. Here a name that the policy
does not know is an error, and so is calling, building or creating anything else than what the
policy allows. Opcodes that can't be restricted (extension codes, INST, OBJ) are not understood.
The format: CPython's `pickletools`.
"""

from __future__ import annotations

import _compat_pickle
import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pickle import UnpicklingError, decode_long
from typing import Any, Protocol

from .errors import CorruptCheckpoint, TruncatedCheckpoint

DEEPEST_KEY = 50
PIECE = 1 << 20
MAPPINGS = (dict, OrderedDict, Counter)


class Policy(Protocol):
    """What a restricted unpickler may find and do; each raises UnpicklingError for the rest."""

    def find(self, module: str, name: str) -> Any:
        """The object that a global name stands for."""

    def call(self, function: Any, arguments: tuple) -> Any:
        """`function(*arguments)`."""

    def create(self, cls: Any, arguments: tuple) -> Any:
        """`cls.__new__(cls, *arguments)`."""

    def build(self, instance: Any, state: Any) -> None:
        """Give `instance` the state it was saved with."""


class RestrictedUnpickler:
    """Reads one pickle from `stream`, a binary file that supports `read` and `readline`.

    `encoding` is that of strings written by Python 2; "bytes" leaves them undecoded.
    """

    def __init__(
        self,
        stream,
        policy: Policy,
        persistent_load: Callable[[Any], Any],
        encoding: str = "utf-8",
    ):
        self._read_some = stream.read
        self._readline = stream.readline
        self._policy = policy
        self._persistent_load = persistent_load
        self._encoding = encoding
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object in the stream. Raises UnpicklingError for anything unexpected."""
        operations = OPERATIONS
        read = self._read_some
        try:
            while True:
                code = read(1)
                if code == pickle.STOP:
                    return self._stack.pop()
                if not code:
                    raise TruncatedCheckpoint("the pickle ends before its STOP opcode")
                operation = operations.get(code)
                if operation is None:
                    raise UnpicklingError(f"Unsupported operand {code[0]}")
                operation(self)
        except UnpicklingError:
            raise
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            MemoryError,
            RecursionError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            # A sound pickle causes none of these; a damaged one may do anything.
            raise CorruptCheckpoint(
                f"the pickle is damaged ({type(error).__name__}: {error})"
            ) from error

    def _read(self, size: int) -> bytes:
        if size <= PIECE:
            data = self._read_some(size)
            if len(data) == size:
                return data
            raise TruncatedCheckpoint(f"the pickle ends where {size} more bytes are needed")
        # In pieces, so that a length that is not true allocates no more than the file holds.
        pieces = []
        while size:
            pieces.append(self._read(min(size, PIECE)))
            size -= len(pieces[-1])
        return b"".join(pieces)

    def _number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self._read(size), "little", signed=signed)

    def _text_line(self) -> str:
        line = self._readline()
        if not line.endswith(b"\n"):
            raise TruncatedCheckpoint("the pickle ends within a name")
        return line[:-1].decode()

    def _pop_to_mark(self) -> list[Any]:
        items = self._stack
        if not self._marks:
            raise CorruptCheckpoint("the pickle is damaged (no mark on the stack)")
        self._stack = self._marks.pop()
        return items

    def _push_text(self, size: int) -> None:
        self._stack.append(str(self._read(size), "utf-8", "surrogatepass"))

    def _push_old_string(self, size: int) -> None:
        data = self._read(size)
        self._stack.append(data if self._encoding == "bytes" else data.decode(self._encoding))

    def _protocol(self) -> None:
        version = self._read(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            raise UnpicklingError(f"unsupported pickle protocol: {version}")

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _global(self) -> None:
        module, name = self._text_line(), self._text_line()
        self._stack.append(self._policy.find(module, name))

    def _stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("STACK_GLOBAL needs two strings")
        self._stack.append(self._policy.find(module, name))

    def _reduce(self) -> None:
        arguments = self._arguments()
        self._stack.append(self._policy.call(self._stack.pop(), arguments))

    def _new_object(self) -> None:
        arguments = self._arguments()
        self._stack.append(self._policy.create(self._stack.pop(), arguments))

    def _arguments(self) -> tuple:
        arguments = self._stack.pop()
        if type(arguments) is not tuple:
            raise UnpicklingError(f"arguments must be a tuple, not {type(arguments).__name__}")
        return arguments

    def _build(self) -> None:
        state = self._stack.pop()
        self._policy.build(self._stack[-1], state)

    def _append(self) -> None:
        self._extend_list([self._stack.pop()])

    def _appends(self) -> None:
        self._extend_list(self._pop_to_mark())

    def _extend_list(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(target)}")
        target.extend(items)

    def _set_item(self) -> None:
        value = self._stack.pop()
        self._set_pairs([self._stack.pop(), value])

    def _set_items(self) -> None:
        self._set_pairs(self._pop_to_mark())

    def _set_pairs(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in MAPPINGS:
            raise UnpicklingError(
                "Can only set items of dict, collections.OrderedDict and collections.Counter, "
                f"but got {type(target)}"
            )
        for at in range(0, len(items), 2):
            check_key(items[at])
            target[items[at]] = items[at + 1]

    def _add_items(self) -> None:
        items = self._pop_to_mark()
        target = self._stack[-1]
        if type(target) is not set:
            raise UnpicklingError(f"Can only add items to sets, but got {type(target)}")
        for item in items:
            check_key(item)
        target.update(items)

    def _frozen_set(self) -> None:
        items = self._pop_to_mark()
        for item in items:
            check_key(item)
        self._stack.append(frozenset(items))

    def _tuple(self) -> None:
        items = self._pop_to_mark()
        self._stack.append(tuple(items))

    def _short_tuple(self, size: int) -> None:
        stack = self._stack
        if len(stack) < size:
            raise CorruptCheckpoint("the pickle is damaged (stack underflow)")
        stack[-size:] = [tuple(stack[-size:])]

    def _persistent(self) -> None:
        saved = self._stack.pop()
        if type(saved) is not tuple and type(saved) is not int:
            raise UnpicklingError(
                f"a persistent id must be tuple or int, but is {type(saved).__name__}"
            )
        if type(saved) is tuple and (not saved or saved[0] not in ("storage", b"storage")):
            raise UnpicklingError("Only persistent_load of storage is allowed")
        self._stack.append(self._persistent_load(saved))

    def _get(self, size: int) -> None:
        self._stack.append(self._memo[self._number(size)])

    def _put(self, size: int) -> None:
        self._memo[self._number(size)] = self._stack[-1]

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_to_mark()

    def _push(self, value: Any) -> None:
        self._stack.append(value)


def check_key(key: Any) -> None:
    """Refuse keys nested so deeply that hashing them would exhaust the C stack."""
    level = [key]
    for _ in range(DEEPEST_KEY):
        level = [part for item in level if type(item) in (tuple, frozenset) for part in item]
        if not level:
            return
    raise UnpicklingError("a key is nested too deeply")


_U = RestrictedUnpickler
OPERATIONS: dict[bytes, Callable[[RestrictedUnpickler], None]] = {
    pickle.PROTO: _U._protocol,
    pickle.FRAME: lambda self: self._read(8),
    # Names, calls and state: what the policy decides.
    pickle.GLOBAL: _U._global,
    pickle.STACK_GLOBAL: _U._stack_global,
    pickle.REDUCE: _U._reduce,
    pickle.NEWOBJ: _U._new_object,
    pickle.BUILD: _U._build,
    pickle.BINPERSID: _U._persistent,
    # The stack and the memo.
    pickle.MARK: _U._mark,
    pickle.POP: _U._pop,
    pickle.POP_MARK: _U._pop_to_mark,
    pickle.DUP: lambda self: self._push(self._stack[-1]),
    pickle.BINGET: lambda self: self._get(1),
    pickle.LONG_BINGET: lambda self: self._get(4),
    pickle.BINPUT: lambda self: self._put(1),
    pickle.LONG_BINPUT: lambda self: self._put(4),
    pickle.MEMOIZE: _U._memoize,
    # Containers.
    pickle.EMPTY_TUPLE: lambda self: self._push(()),
    pickle.EMPTY_LIST: lambda self: self._push([]),
    pickle.EMPTY_DICT: lambda self: self._push({}),
    pickle.EMPTY_SET: lambda self: self._push(set()),
    pickle.TUPLE: _U._tuple,
    pickle.TUPLE1: lambda self: self._short_tuple(1),
    pickle.TUPLE2: lambda self: self._short_tuple(2),
    pickle.TUPLE3: lambda self: self._short_tuple(3),
    pickle.APPEND: _U._append,
    pickle.APPENDS: _U._appends,
    pickle.SETITEM: _U._set_item,
    pickle.SETITEMS: _U._set_items,
    pickle.ADDITEMS: _U._add_items,
    pickle.FROZENSET: _U._frozen_set,
    # Constants and numbers.
    pickle.NONE: lambda self: self._push(None),
    pickle.NEWTRUE: lambda self: self._push(True),
    pickle.NEWFALSE: lambda self: self._push(False),
    pickle.BININT: lambda self: self._push(self._number(4, signed=True)),
    pickle.BININT1: lambda self: self._push(self._number(1)),
    pickle.BININT2: lambda self: self._push(self._number(2)),
    pickle.LONG1: lambda self: self._push(decode_long(self._read(self._number(1)))),
    pickle.LONG4: lambda self: self._push(decode_long(self._read(self._number(4)))),
    pickle.BINFLOAT: lambda self: self._push(struct.unpack(">d", self._read(8))[0]),
    # Text and bytes.
    pickle.SHORT_BINUNICODE: lambda self: self._push_text(self._number(1)),
    pickle.BINUNICODE: lambda self: self._push_text(self._number(4)),
    pickle.BINUNICODE8: lambda self: self._push_text(self._number(8)),
    pickle.SHORT_BINBYTES: lambda self: self._push(self._read(self._number(1))),
    pickle.BINBYTES: lambda self: self._push(self._read(self._number(4))),
    pickle.BINBYTES8: lambda self: self._push(self._read(self._number(8))),
    pickle.BYTEARRAY8: lambda self: self._push(bytearray(self._read(self._number(8)))),
    pickle.SHORT_BINSTRING: lambda self: self._push_old_string(self._number(1)),
    pickle.BINSTRING: lambda self: self._push_old_string(self._number(4)),
}


def modern_name(module: str, name: str) -> str:
    """The full name of a global; Python 2's names of modules are understood."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return ".".join(_compat_pickle.NAME_MAPPING[module, name])
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"


# How many bytes follow an opcode that a scan for names has to step over.
_FIXED_SIZES = {
    pickle.PROTO: 1,
    pickle.FRAME: 8,
    pickle.BINGET: 1,
    pickle.LONG_BINGET: 4,
    pickle.BINPUT: 1,
    pickle.LONG_BINPUT: 4,
    pickle.BININT: 4,
    pickle.BININT1: 1,
    pickle.BININT2: 2,
    pickle.BINFLOAT: 8,
}
_LENGTH_SIZES = {
    pickle.LONG1: 1,
    pickle.LONG4: 4,
    pickle.SHORT_BINUNICODE: 1,
    pickle.BINUNICODE: 4,
    pickle.BINUNICODE8: 8,
    pickle.SHORT_BINBYTES: 1,
    pickle.BINBYTES: 4,
    pickle.BINBYTES8: 8,
    pickle.BYTEARRAY8: 8,
    pickle.SHORT_BINSTRING: 1,
    pickle.BINSTRING: 4,
}
_TEXT = (pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8)


def scan_globals(stream) -> Iterator[tuple[str, str]]:
    """The module and name of every global of a pickle, found without running anything.

    Raises UnpicklingError for a damaged pickle or one with opcodes that are not allowed.
    """
    nothing: Any = None  # a scan decides and loads nothing
    walker = RestrictedUnpickler(stream, policy=nothing, persistent_load=nothing)
    strings: list[str] = []
    memo: dict[int, str] = {}
    try:
        while True:
            code = stream.read(1)
            if code == pickle.STOP:
                return
            if not code:
                raise TruncatedCheckpoint("the pickle ends before its STOP opcode")
            if code == pickle.GLOBAL:
                yield walker._text_line(), walker._text_line()
            elif code == pickle.STACK_GLOBAL:
                yield strings[-2], strings[-1]
            elif code == pickle.MEMOIZE:
                memo[len(memo)] = strings[-1] if strings else ""
            elif code in (pickle.BINGET, pickle.LONG_BINGET):
                strings.append(memo.get(walker._number(_FIXED_SIZES[code]), ""))
            elif code in (pickle.BINPUT, pickle.LONG_BINPUT):
                memo[walker._number(_FIXED_SIZES[code])] = strings[-1] if strings else ""
            elif code in _LENGTH_SIZES:
                data = walker._read(walker._number(_LENGTH_SIZES[code]))
                if code in _TEXT:
                    strings.append(str(data, "utf-8", "surrogatepass"))
            elif code in OPERATIONS:
                walker._read(_FIXED_SIZES.get(code, 0))
            else:
                raise UnpicklingError(f"Unsupported operand {code[0]}")
    except (LookupError, ValueError) as error:
        raise CorruptCheckpoint(f"the pickle is damaged ({error})") from None
