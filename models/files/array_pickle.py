"""Read pickles of users that hold plain containers and numpy arrays, whatever else the file asks to run.

A pickle can name any function to be called while it loads, and give any object a state. Here each name stands for a
function or class of this module, which looks at what it is given: numpy itself never sees the arguments in the file.
What is not among these names is refused, and so are states of anything but arrays and their types.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

MAX_AXES = 32
"""As many as numpy's arrays can have."""

_DTYPE = re.compile(r"[biufc]\d{1,2}|[SU][1-9]\d{0,5}|O8?")
"""Truth values, numbers, text of a byte at least (of less, any number fits into a small file), and the objects that the
reader itself must refuse or leave out."""


class RefusedPickle(Exception):
    """What a pickle asked for and does not get; ``ArrayUnpickler.load`` adds the name of the file."""


class Ndarray:
    """Stands for ``numpy.ndarray`` where a pickle names it. It cannot be asked for an array of some size."""


class Dtype:
    """Stands for a ``numpy.dtype``, of simple types only: states of structured ones can point anywhere in memory."""

    def __init__(self, code: Any, align: Any = False, copy: Any = False) -> None:
        if not isinstance(code, str) or not _DTYPE.fullmatch(code):
            raise RefusedPickle(f"an array of type {code!r}: numbers, truth values and text are read")
        self.code, self.order = code, "="

    def set_state(self, state: Any) -> None:
        """Byte order from numpy's ``(version, order, subarray, names, fields, …)``."""
        if not isinstance(state, tuple) or len(state) < 5 or state[2:5] != (None, None, None):
            raise RefusedPickle(f"an array of a structured type: {state!r}")
        if state[1] not in ("<", ">", "|", "="):
            raise RefusedPickle(f"an array of byte order {state[1]!r}")
        self.order = state[1]

    @property
    def numpy(self) -> np.dtype:
        """The type itself."""
        return np.dtype(self.order + self.code)


class ArrayUnpickler(pickle._Unpickler):  # the C one cannot be told what may have a state, nor stop at a byte
    """Loads containers, numbers, text and numpy arrays. Subclasses may add names, and kinds that have states.

    ``data`` is all of the pickle, so that no length in it can ask for more memory than it has bytes. ``holds`` ends the
    messages: what files of this kind hold, and what to do about one that differs.
    """

    object_arrays: ClassVar[bool] = False
    """Whether arrays of objects are left out (they come back empty) or refused."""

    def __init__(self, data: bytes, path: Path, holds: str, encoding: str = "ASCII") -> None:
        self.data, self.file = data, io.BytesIO(data)
        super().__init__(self.file, encoding=encoding)
        self.path, self.holds = path, holds

    def load(self) -> Any:
        """What the pickle holds.

        Raises:
            ValueError: if it holds or asks for anything else, or is none; the message names the file and what that was.
        """
        try:
            return super().load()
        except RefusedPickle as error:
            raise ValueError(f"{self.path}: refused to unpickle {error}: {self.holds}") from error
        except Exception as error:  # a malformed pickle raises nearly anything
            raise ValueError(f"{self.path} is not a pickle that can be read ({error!r}): {self.holds}") from error

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of the file."""
        known = _NAMES.get((module.replace("numpy._core", "numpy.core"), name))  # numpy 2 renamed it
        return self.find_other(module, name) if known is None else known

    def find_other(self, module: str, name: str) -> Any:
        """What stands for a name that is not numpy's; raises ``RefusedPickle`` if nothing does."""
        raise RefusedPickle(f"{module}.{name}")

    def build(self, made: Any, state: Any) -> Any:
        """What an object becomes with its state; raises ``RefusedPickle`` where it may not have one."""
        if isinstance(made, Dtype):
            made.set_state(state)
        elif isinstance(made, np.ndarray) and made.size == 0 and made.base is None:
            _, shape, dtype, fortran, raw = state
            dtype = self.dtype_of(dtype)
            if dtype.hasobject:
                made.__setstate__((1, (0,), dtype, False, []))
            else:
                raw = raw.encode("latin1") if isinstance(raw, str) else raw  # as Python 2 wrote bytes
                array = array_of(raw, dtype, shape, "F" if fortran else "C")
                # In place, as others may refer to it already.
                made.__setstate__((1, array.shape, dtype, bool(fortran), bytes(raw)))
        else:
            raise RefusedPickle(f"the state of a {type(made).__name__}")
        return made

    def dtype_of(self, dtype: Any) -> np.dtype:
        """The type behind its stand-in; raises ``RefusedPickle`` if it is none or one of objects that are refused."""
        if not isinstance(dtype, Dtype):
            raise RefusedPickle(f"an array of type {dtype!r}")
        if dtype.numpy.hasobject and not self.object_arrays:
            raise RefusedPickle("an array of objects")
        return dtype.numpy

    def load_build(self) -> None:
        state = self.stack.pop()  # type: ignore[attr-defined]
        self.stack[-1] = self.build(self.stack[-1], state)  # type: ignore[attr-defined]

    def load_bytearray(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        # Of what is there: the inherited one takes memory for any length first.
        self.append(bytearray(self.read(length)))  # type: ignore[attr-defined]

    dispatch: ClassVar[dict[int, Any]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray,
    }


def array_of(raw: Any, dtype: np.dtype, shape: Any, order: Any) -> np.ndarray:
    """An array over the bytes ``raw``, not copied.

    Raises:
        RefusedPickle: if shape and type do not make up exactly these bytes, or the order is neither C's nor Fortran's.
    """
    if not isinstance(raw, bytes | bytearray | memoryview) or order not in ("C", "F"):
        raise RefusedPickle(f"an array of order {order!r} over a {type(raw).__name__}")
    size = byte_count(dtype, shape)
    if size != len(raw):
        raise RefusedPickle(f"an array of shape {shape} and type {dtype} over {len(raw)} bytes, not {size}")
    return np.frombuffer(raw, dtype).reshape(shape, order=order) if size else np.empty(shape, dtype)


def byte_count(dtype: np.dtype, shape: Any) -> int:
    """Bytes of an array; raises ``RefusedPickle`` if ``shape`` is none."""
    if not isinstance(shape, tuple) or len(shape) > MAX_AXES or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise RefusedPickle(f"an array of shape {shape!r}")
    return dtype.itemsize * math.prod(shape)


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """``numpy.core.multiarray._reconstruct``: an empty array that is given its state next."""
    if kind is not Ndarray:
        raise RefusedPickle(f"an array of kind {kind!r}: plain arrays are read")
    return np.empty(0, np.int8)


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """``numpy.core.numeric._frombuffer``."""
    return array_of(raw, _plain(dtype), shape, order)


def _scalar(dtype: Any, raw: Any) -> np.generic:
    """``numpy.core.multiarray.scalar``."""
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    return array_of(raw, _plain(dtype), (1,), "C")[0]


def _plain(dtype: Any) -> np.dtype:
    if not isinstance(dtype, Dtype) or dtype.numpy.hasobject:
        raise RefusedPickle("an array of objects")
    return dtype.numpy


def _encode_latin1(text: Any, encoding: Any) -> bytes:
    """``_codecs.encode``: how Python 3 writes bytes for Python 2."""
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """``bytes()``: how Python 3 writes empty ones for Python 2."""
    return b""


_NAMES = {
    ("numpy", "ndarray"): Ndarray,
    ("numpy", "dtype"): Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode_latin1,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
}
