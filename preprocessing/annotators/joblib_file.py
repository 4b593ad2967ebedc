"""Read what ``joblib.dump`` wrote: plain containers and numpy arrays, whatever else the file asks to run.

The file is a pickle, compressed as a whole or not at all. Where an array stands in it there is a record of its shape
and type, followed by its bytes between two of the pickle's own (``joblib/numpy_pickle.py``).
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.files.array_pickle import ArrayUnpickler, Ndarray, RefusedPickle, array_of, byte_count

MAX_BYTES = 4 * 2**30
"""Of what a file decompresses to: an hour of a few people, several times over."""

LZMA_MEMORY = 2**28
"""Bytes that an .xz or .lzma may ask for before it gives any: its strongest setting takes a quarter of this."""

_DECOMPRESSORS: list[tuple[bytes, Callable[[], Any]]] = [
    (b"\x78", lambda: zlib.decompressobj(zlib.MAX_WBITS)),
    (b"\x1f\x8b", lambda: zlib.decompressobj(zlib.MAX_WBITS + 16)),
    (b"BZ", bz2.BZ2Decompressor),
    (b"\xfd7zXZ", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, LZMA_MEMORY)),
    (b"\x5d\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, LZMA_MEMORY)),
]
"""First bytes → what reads on; all others are taken for a bare pickle, as joblib does."""

_UNREADABLE = {
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"ZF": "written by a joblib before 0.10",
}


def read_joblib(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """What a file of ``joblib.dump`` holds; its arrays cannot be written to.

    Dictionaries, lists, tuples, numbers, text and bytes, and numpy's numbers and arrays of numbers, truth values
    and text are read. Bare, zlib, gzip, bz2, xz and lzma files are. Memory: the decompressed file, once.

    Raises:
        ValueError: if there is no such file, it is cut short or not joblib's, it is larger than ``max_bytes`` once
            decompressed, or names anything but the above (torch tensors among it). Nothing in it was run.
    """
    if not path.is_file():
        raise ValueError(f"no file at {path}")
    data = _decompressed(path, path.read_bytes(), max_bytes)
    return _JoblibUnpickler(data, path, "files of joblib are read if they hold plain containers and arrays").load()


def _decompressed(path: Path, data: bytes, max_bytes: int) -> bytes:
    for prefix, what in _UNREADABLE.items():
        if data.startswith(prefix):
            raise ValueError(f"{path} is {what}: load it where it was made and dump it again with compress=3")
    for prefix, decompressor in _DECOMPRESSORS:
        if data.startswith(prefix):
            stream = decompressor()
            try:
                data = stream.decompress(data, max_bytes + 1)
            except (zlib.error, OSError, EOFError, lzma.LZMAError) as error:
                raise ValueError(f"{path} cannot be decompressed ({error}): make or copy it again") from error
            if len(data) <= max_bytes and not stream.eof:
                raise ValueError(f"{path} is cut short: copy it again")
            if stream.unused_data:
                raise ValueError(f"{path} has {len(stream.unused_data)} bytes after its end: it is not joblib's")
            break
    if len(data) > max_bytes:
        raise ValueError(f"{path} holds more than the {max_bytes} bytes it may: raise the limit if you trust it")
    return data


class _Array:
    """Stands for ``joblib.numpy_pickle.NumpyArrayWrapper``: an array whose bytes come next."""


class _JoblibUnpickler(ArrayUnpickler):
    """Reads joblib's records of arrays, too."""

    def find_other(self, module: str, name: str) -> Any:
        if (module, name) == ("joblib.numpy_pickle", "NumpyArrayWrapper"):
            return _Array
        if module.split(".")[0] == "torch":
            raise RefusedPickle(
                f"{module}.{name}, of a torch tensor; make it an array (x.cpu().numpy()) and dump again"
            )
        return super().find_other(module, name)

    def build(self, made: Any, state: Any) -> Any:
        if not isinstance(made, _Array):
            return super().build(made, state)
        if state["subclass"] is not Ndarray:
            raise RefusedPickle(f"an array of kind {state['subclass']!r}; plain arrays are read")
        dtype, shape = self.dtype_of(state["dtype"]), state["shape"]
        if state.get("numpy_array_alignment_bytes") is not None:  # since joblib 1.2
            padding = self.file.read(1)
            self.file.read(padding[0])
        start, size = self.file.tell(), byte_count(dtype, shape)
        left = len(self.data) - start
        if size > left:
            raise RefusedPickle(f"an array of shape {shape} and type {dtype}, of which {left} bytes are there")
        self.file.seek(start + size)
        return array_of(memoryview(self.data)[start : start + size], dtype, shape, state["order"])
