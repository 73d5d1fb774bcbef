"""One-way messages between processes, their arrays through shared memory.

A message is a pickle whose large buffers (of tensors and of NumPy arrays alike) lie in one
anonymous file, which travels as a file descriptor beside it. The file has no name: whoever dies,
and when, the system frees it. Each worker has a channel of its own, so that one that is killed in
the middle of a message holds nothing that another one needs.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import socket
import struct
import tempfile
from multiprocessing.reduction import ForkingPickler
from typing import Any

import flashlight as torch
from flashlight._ops import transfer

#: Bytes from which the buffers of a message go through shared memory. Below, a copy through the
#: socket is cheaper than a mapping at both ends.
SHARED_FROM = 1 << 16
_ALIGNMENT = 64
_HEADER = struct.Struct("<QQI")  # bytes of the pickle, of the buffers, number of descriptors


class Pickler(ForkingPickler):
    """A pickler that hands the data of tensors to `buffer_callback`."""

    def reducer_override(self, value: Any) -> Any:
        """Reduce plain tensors and parameters to buffers, anything else as usual."""
        if type(value) is torch.Tensor:
            return transfer.rebuild, transfer.reduce(value)
        if type(value) is torch.nn.Parameter:
            return _rebuild_parameter, (*transfer.reduce(value.detach()), value.requires_grad)
        return NotImplemented


def _rebuild_parameter(*parts: Any) -> torch.nn.Parameter:
    *parts, requires_grad = parts
    return torch.nn.Parameter(transfer.rebuild(*parts), requires_grad)


def pair() -> tuple[Receiver, Sender]:
    """Return both ends of a new channel."""
    receiving, sending = socket.socketpair()
    return Receiver(receiving), Sender(sending)


class Sender:
    """The end that writes. Can be given to a process when that is started."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, message: Any) -> None:
        """Write a message. What pickling it raises is raised before anything is written."""
        text = io.BytesIO()
        buffers: list[pickle.PickleBuffer] = []
        # ForkingPickler passes positional arguments on: protocol, fix_imports, buffer_callback.
        Pickler(text, 5, True, buffers.append).dump(message)
        raw = [buffer.raw() for buffer in buffers]
        sizes = [len(view) for view in raw]
        # The list of sizes precedes the pickle, in the same bytes.
        head = pickle.dumps(sizes)
        body = struct.pack("<I", len(head)) + head + text.getvalue()
        total = sum(_padded(size) for size in sizes)
        if total < SHARED_FROM:
            inline = b"".join(bytes(view).ljust(_padded(len(view)), b"\0") for view in raw)
            self._write(_HEADER.pack(len(body), total, 0), [])
            self.connection.sendall(body)
            self.connection.sendall(inline)
            return
        descriptor = _anonymous_file(total)
        try:
            with mmap.mmap(descriptor, total) as memory:
                offset = 0
                for view in raw:
                    memory[offset : offset + len(view)] = view
                    offset += _padded(len(view))
            self._write(_HEADER.pack(len(body), total, 1), [descriptor])
        finally:
            os.close(descriptor)
        self.connection.sendall(body)

    def _write(self, header: bytes, descriptors: list[int]) -> None:
        if descriptors:
            socket.send_fds(self.connection, [header], descriptors)
        else:
            self.connection.sendall(header)

    def close(self) -> None:
        """Close this end."""
        self.connection.close()


class Receiver:
    """The end that reads; `multiprocessing.connection.wait` takes it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self.connection.fileno()

    def recv(self) -> Any:
        """Return the next message. Raises EOFError if the other end is gone."""
        header, descriptors, _, _ = socket.recv_fds(self.connection, _HEADER.size, 1)
        header += self._read(_HEADER.size - len(header))
        length, total, count = _HEADER.unpack(header)
        memory: Any = b""
        if count:
            try:
                memory = mmap.mmap(descriptors[0], total)
            finally:
                os.close(descriptors[0])
        body = memoryview(self._read(length))
        if not count:
            memory = self._read(total)
        (head,) = struct.unpack_from("<I", body)
        buffers, offset = [], 0
        whole = memoryview(memory)
        for size in pickle.loads(body[4 : 4 + head]):
            buffers.append(whole[offset : offset + size])
            offset += _padded(size)
        return pickle.loads(body[4 + head :], buffers=buffers)

    def _read(self, count: int) -> bytearray:
        data = bytearray(count)
        view = memoryview(data)
        while len(view):
            received = self.connection.recv_into(view)
            if not received:
                raise EOFError("the other end of the channel was closed")
            view = view[received:]
        return data

    def close(self) -> None:
        """Close this end."""
        self.connection.close()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _anonymous_file(size: int) -> int:
    """Return the descriptor of a file without a name. Raises OSError if there is no room."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("flashlight", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        if hasattr(os, "posix_fallocate"):
            # A file that only claims its size would kill the worker that fills it.
            os.posix_fallocate(descriptor, 0, size)
        else:
            os.ftruncate(descriptor, size)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
