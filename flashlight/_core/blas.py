"""A fast BLAS and LAPACK under MLX's CPU stream on Linux.

MLX's Linux wheels link the reference Netlib libraries, about twenty times slower than OpenBLAS.
The package `scipy-openblas32` (extra `cpu`) carries an OpenBLAS with the same integer width whose
symbols have a prefix, so that the dynamic linker can't interpose them. `install` does the linker's
work by hand: it finds the slots of libmlx.so's global offset table that hold the addresses of BLAS
and LAPACK functions, and stores OpenBLAS's addresses there. Anything unexpected on the way leaves
MLX as it is, and `status().reason` tells what it was.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import sys
from collections.abc import Iterator
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint8, c_uint16, c_uint32, c_uint64
from dataclasses import dataclass
from pathlib import Path

import mlx.core  # noqa: F401  (libmlx.so has to be loaded before its slots can be found)

ENVIRONMENT_VARIABLE = "FLASHLIGHT_BLAS"
PREFIX = "scipy_"

FUNCTIONS = frozenset(
    ["cblas_sgemm", "cblas_dgemm", "cblas_cgemm", "cgesdd_", "cheevd_", "cgeev_"]
    + [
        f"{precision}{routine}_"
        for precision in "sd"
        for routine in (
            "getrf getri geqrf orgqr potrf trtri syevd gesdd geev".split()  # noqa: SIM905
        )
    ]
)


@dataclass(frozen=True)
class Status:
    """Which BLAS answers MLX's calls on the CPU stream, and why it isn't the fast one."""

    provider: str
    version: str = ""
    functions: int = 0
    reason: str = ""


class NotPatchable(Exception):
    """The loaded libmlx.so or this platform isn't what the patch was written for."""


# ----- ELF: the parts of a loaded shared object that lead to its jump slots -----

PT_LOAD, PT_DYNAMIC, PT_GNU_RELRO = 1, 2, 0x6474E552
PF_W = 2
DT_NULL, DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_PLTREL, DT_JMPREL = 0, 2, 5, 6, 20, 23
DT_RELA = 7
ELFCLASS64, ELFDATA2LSB = 2, 1

# platform.machine() -> (e_machine, the relocation type of a jump slot)
MACHINES = {"x86_64": (62, 7), "aarch64": (183, 1026)}


class ElfHeader(ctypes.Structure):
    _fields_ = [("ident", c_uint8 * 16), ("type", c_uint16), ("machine", c_uint16)]


class ProgramHeader(ctypes.Structure):
    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("offset", c_uint64),
        ("address", c_uint64),
        ("physical_address", c_uint64),
        ("file_size", c_uint64),
        ("memory_size", c_uint64),
        ("alignment", c_uint64),
    ]


class DynamicEntry(ctypes.Structure):
    _fields_ = [("tag", c_int64), ("value", c_uint64)]


class Relocation(ctypes.Structure):
    _fields_ = [("offset", c_uint64), ("info", c_uint64), ("addend", c_int64)]


class Symbol(ctypes.Structure):
    _fields_ = [
        ("name", c_uint32),
        ("info", c_uint8),
        ("other", c_uint8),
        ("section", c_uint16),
        ("value", c_uint64),
        ("size", c_uint64),
    ]


class LoadedObject(ctypes.Structure):
    """What `dl_iterate_phdr` tells of a shared object (the leading fields of dl_phdr_info)."""

    _fields_ = [
        ("base", c_uint64),
        ("path", c_char_p),
        ("headers", ctypes.POINTER(ProgramHeader)),
        ("header_count", c_uint16),
    ]


@dataclass(frozen=True)
class SharedObject:
    """A shared object in this process: where it was loaded and its program headers."""

    base: int
    headers: tuple[ProgramHeader, ...]

    @classmethod
    def find(cls, name: str) -> SharedObject:
        """The loaded object whose file is called `name`; raises NotPatchable without one."""
        found: list[SharedObject] = []

        @ctypes.CFUNCTYPE(c_int, ctypes.POINTER(LoadedObject), c_size_t, ctypes.c_void_p)
        def visit(info, size, data):
            loaded = info.contents
            if loaded.path and Path(os.fsdecode(loaded.path)).name == name:
                count = loaded.header_count
                copies = (ProgramHeader.from_buffer_copy(loaded.headers[i]) for i in range(count))
                found.append(cls(loaded.base, tuple(copies)))
            return 0

        ctypes.CDLL(None).dl_iterate_phdr(visit, None)
        if not found:
            raise NotPatchable(f"{name} is not loaded in this process")
        return found[0]

    def segments(self, kind: int) -> list[ProgramHeader]:
        return [header for header in self.headers if header.type == kind]

    def check_machine(self, machine: int) -> None:
        first = next((segment for segment in self.segments(PT_LOAD) if segment.offset == 0), None)
        if first is None:
            raise NotPatchable("libmlx.so's first segment does not hold its ELF header")
        header = ElfHeader.from_address(self.base + first.address)
        ident = bytes(header.ident)
        if ident[:4] != b"\x7fELF" or (ident[4], ident[5]) != (ELFCLASS64, ELFDATA2LSB):
            raise NotPatchable("libmlx.so is not a 64-bit little-endian ELF object")
        if header.machine != machine:
            raise NotPatchable(f"libmlx.so is for machine {header.machine}, not {machine}")

    def dynamic(self) -> dict[int, int]:
        """The dynamic section, its addresses absolute (glibc relocates them, musl does not)."""
        segments = self.segments(PT_DYNAMIC)
        if not segments:
            raise NotPatchable("libmlx.so has no dynamic section")
        entries: dict[int, int] = {}
        address = self.base + segments[0].address
        while (entry := DynamicEntry.from_address(address)).tag != DT_NULL:
            entries[entry.tag] = entry.value
            address += ctypes.sizeof(DynamicEntry)
        for tag in (DT_STRTAB, DT_SYMTAB, DT_JMPREL):
            if tag not in entries:
                raise NotPatchable(f"libmlx.so's dynamic section has no entry {tag}")
            if entries[tag] < self.base:
                entries[tag] += self.base
        return entries

    def jump_slots(self, relocation_type: int) -> Iterator[tuple[str, int]]:
        """Name and slot address of each function that this object calls in another."""
        dynamic = self.dynamic()
        if dynamic.get(DT_PLTREL) != DT_RELA:
            raise NotPatchable("libmlx.so's jump slots are not relocations with addend")
        count = dynamic.get(DT_PLTRELSZ, 0) // ctypes.sizeof(Relocation)
        for relocation in (Relocation * count).from_address(dynamic[DT_JMPREL]):
            if relocation.info & 0xFFFFFFFF != relocation_type:
                continue
            index = relocation.info >> 32
            symbol = Symbol.from_address(dynamic[DT_SYMTAB] + index * ctypes.sizeof(Symbol))
            name = ctypes.string_at(dynamic[DT_STRTAB] + symbol.name)
            yield name.decode("ascii", "replace"), self.base + relocation.offset

    def is_writable(self, address: int) -> bool:
        """Whether a word at `address` can be stored to: not made read-only after relocation."""
        page = os.sysconf("SC_PAGESIZE")
        end = address + ctypes.sizeof(ctypes.c_void_p)
        for relro in self.segments(PT_GNU_RELRO):
            start = self.base + relro.address
            if start // page * page <= address < (start + relro.memory_size) // page * page:
                return False
        return any(
            self.base + segment.address <= address
            and end <= self.base + segment.address + segment.memory_size
            for segment in self.segments(PT_LOAD)
            if segment.flags & PF_W
        )


# ----- The patch -----


def _jump_slot_type() -> tuple[int, int]:
    if not sys.platform.startswith("linux"):
        raise NotPatchable("only MLX's Linux builds need it; macOS has Accelerate")
    machine = platform.machine()
    if machine not in MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise NotPatchable(f"not written for {machine or 'this machine'}")
    return MACHINES[machine]


def _load_openblas() -> ctypes.CDLL:
    # Found, not imported: the package would read its own metadata, slower than all of the rest.
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or spec.origin is None:
        raise NotPatchable(
            "the package scipy-openblas32 is not installed (pip install 'flashlight-mlx[cpu]')"
        )
    libraries = sorted(Path(spec.origin).parent.glob("lib/libscipy_openblas*.so*"))
    if not libraries:
        raise NotPatchable("the package scipy-openblas32 holds no library")
    try:
        return ctypes.CDLL(str(libraries[0]))
    except OSError as error:
        raise NotPatchable(f"{libraries[0].name} could not be loaded: {error}") from None


def _redirect(library: ctypes.CDLL) -> int:
    """Point libmlx.so's BLAS and LAPACK calls at `library`; the number of functions redirected."""
    elf_machine, slot_type = _jump_slot_type()
    libmlx = SharedObject.find("libmlx.so")
    libmlx.check_machine(elf_machine)
    targets: list[tuple[int, int]] = []
    for name, slot in libmlx.jump_slots(slot_type):
        if name not in FUNCTIONS:
            continue
        function = getattr(library, PREFIX + name, None)
        if function is None:
            raise NotPatchable(f"OpenBLAS has no {PREFIX}{name}")
        if not libmlx.is_writable(slot):
            raise NotPatchable(f"the slot of {name} is read-only (libmlx.so was bound at load)")
        targets.append((slot, ctypes.cast(function, ctypes.c_void_p).value or 0))
    if not targets:
        raise NotPatchable("this build of MLX calls no BLAS through jump slots")
    for slot, address in targets:
        ctypes.c_void_p.from_address(slot).value = address
    return len(targets)


_library: ctypes.CDLL | None = None
_status: Status | None = None


def _fallback(reason: str) -> Status:
    own = "Accelerate" if sys.platform == "darwin" else "MLX's own (reference Netlib)"
    return Status(provider=own, reason=reason)


def install() -> Status:
    """Put OpenBLAS under MLX's CPU stream where that is possible; further calls do nothing.

    `FLASHLIGHT_BLAS=mlx` in the environment leaves MLX as it is.
    """
    global _library, _status
    if _status is not None:
        return _status
    choice = os.environ.get(ENVIRONMENT_VARIABLE, "").lower()
    if choice in ("mlx", "off", "none", "0"):
        _status = _fallback(f"turned off by {ENVIRONMENT_VARIABLE}={choice}")
        return _status
    try:
        _jump_slot_type()
        library = _load_openblas()
        functions = _redirect(library)
    except NotPatchable as obstacle:
        _status = _fallback(str(obstacle))
        return _status
    _library = library
    library.scipy_openblas_get_config.restype = c_char_p
    version = library.scipy_openblas_get_config().decode().strip()
    _status = Status(provider="OpenBLAS", version=version, functions=functions)
    if not any(os.environ.get(f"{runtime}_NUM_THREADS") for runtime in ("OPENBLAS", "OMP")):
        # One core is Python's, which issues operations while MLX computes; BLAS's threads wait
        # busily. Training examples/digits_cnn.py on two cores, a second thread saved no time and
        # used 60 % more CPU.
        set_num_threads(max(1, physical_cores() - 1))
    return _status


def status() -> Status:
    """Which BLAS is in use; installs the fast one if that was not tried yet."""
    return install()


# ----- Threads -----


def physical_cores() -> int:
    """Cores this process may run on, hyper-threads counted once: they share the vector units."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    cores = set()
    for cpu in os.sched_getaffinity(0):
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text().strip())
        except OSError:
            cores.add(str(cpu))
    return max(1, len(cores))


def set_num_threads(count: int) -> None:
    """Let BLAS use `count` threads; where it isn't OpenBLAS there is nothing to set."""
    if _library is not None:
        _library.scipy_openblas_set_num_threads(c_int(count))


def get_num_threads() -> int:
    """The number of threads that BLAS uses: 1 without OpenBLAS, since MLX's own has no more."""
    return _library.scipy_openblas_get_num_threads() if _library is not None else 1
