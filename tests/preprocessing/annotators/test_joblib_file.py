"""What joblib wrote is read as it was; nothing in a file is ever run, nor may it take memory that it does not fill."""

import builtins
import bz2
import collections
import gzip
import io
import lzma
import os
import pickle
import resource
import zlib
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from joblib.numpy_pickle import NumpyArrayWrapper

from preprocessing.annotators.joblib_file import read_joblib

CONTENT = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": np.arange(20)[::3],
    "big endian": np.array([1, 2], ">i4"),
    "truth": np.array([True, False]),
    "text": np.array(["ab", "c"]),
    "empty": np.empty((0, 3)),
    "one": np.array(3.0),
    "number": np.float32(2.5),
    "count": np.int64(7),
    "plain": [1, 2.5, None, True, "x", b"y", (1, 2), {"a": []}],
}


def same(a: object, b: object) -> None:
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype.newbyteorder("=") == b.dtype.newbyteorder("=")
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3), ("lzma", 3)])
@pytest.mark.parametrize("protocol", [None, 2, 5])
def test_what_joblib_wrote_is_read(tmp_path, compress, protocol) -> None:
    path = tmp_path / "file.pkl"
    joblib.dump(CONTENT, path, compress=compress, protocol=protocol)
    read = read_joblib(path)
    assert read.keys() == CONTENT.keys()
    for name, value in CONTENT.items():
        same(read[name], value)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_plain_pickles_are_read(tmp_path, protocol) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps([CONTENT, CONTENT["floats"]], protocol=protocol))
    read, again = read_joblib(path)
    for name, value in CONTENT.items():
        same(read[name], value)
    assert again is read["floats"]


def test_files_of_joblib_before_its_padding_are_read(tmp_path, monkeypatch) -> None:
    created = NumpyArrayWrapper.__init__

    def without(self, *args, **kwargs) -> None:
        created(self, *args, **kwargs)
        del self.numpy_array_alignment_bytes

    monkeypatch.setattr(NumpyArrayWrapper, "__init__", without)
    path = tmp_path / "file.pkl"
    joblib.dump(CONTENT, path, compress=3)
    same(read_joblib(path)["floats"], CONTENT["floats"])


def test_arrays_of_numpy_2_are_read(tmp_path) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pickle.dumps(CONTENT, protocol=2).replace(b"cnumpy.core.", b"cnumpy._core."))
    assert b"numpy._core.multiarray" in path.read_bytes()
    same(read_joblib(path)["floats"], CONTENT["floats"])


class _Call:
    """Unpickles as the value of a call."""

    def __init__(self, function: Callable, *args: object) -> None:
        self.call = function, args

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [None, 0, 2, 5])
@pytest.mark.parametrize("compress", [0, 3])
@pytest.mark.parametrize("call", ["system", "eval"])
def test_hostile_files_are_refused_and_not_run(tmp_path, protocol, compress, call) -> None:
    proof, path = tmp_path / "was_run", tmp_path / "file.pkl"
    hostile = {
        "system": _Call(os.system, f"touch {proof}"),
        "eval": _Call(builtins.eval, f"open({str(proof)!r}, 'w')"),
    }[call]
    joblib.dump({"a": 1, "b": hostile, "c": np.ones(3)}, path, compress=compress, protocol=protocol)
    with pytest.raises(ValueError, match=rf"file\.pkl: refused to unpickle \w+\.{call}: files of joblib"):
        read_joblib(path)
    assert not proof.exists()
    joblib.load(path)
    assert proof.exists(), "the attack must be a real one"


def test_hostile_objects_in_an_array_are_refused_and_not_run(tmp_path) -> None:
    proof, path = tmp_path / "was_run", tmp_path / "file.pkl"
    array = np.array([_Call(os.system, f"touch {proof}")], dtype=object)
    joblib.dump({"a": array}, path, compress=3)
    with pytest.raises(ValueError, match="refused to unpickle an array of objects"):
        read_joblib(path)
    path.write_bytes(pickle.dumps({"a": array}))
    with pytest.raises(ValueError, match=r"refused to unpickle \w+\.system"):
        read_joblib(path)
    path.write_bytes(pickle.dumps({"a": np.array([1, None], dtype=object)}))
    with pytest.raises(ValueError, match="refused to unpickle an array of objects"):
        read_joblib(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (torch.ones(2), "torch tensor; make it an array"),
        (collections.deque([1]), "collections.deque"),
        (Path("x"), "pathlib"),
        (np.ma.masked_array([1], [True]), "numpy.ma"),
        (np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")]), "'V8'"),
        (np.array(["2020-01-01"], "M8[D]"), "'M8'"),
        (np.ones((1, 1)).view(np.matrix), "numpy.matrix"),
    ],
)
def test_other_kinds_are_refused_by_name(tmp_path, value, named) -> None:
    path = tmp_path / "file.pkl"
    joblib.dump({"a": value}, path)
    with pytest.raises(ValueError, match=rf"file\.pkl: refused to unpickle .*{named}"):
        read_joblib(path)


@pytest.mark.parametrize(
    "payload",
    [
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"\x80\x04\x8c\x16numpy.core.multiarray.x\x8c\x08__dict__\x93.",
        b"cnumpy\ndtype.__class__\n.",
        b"cjoblib.numpy_pickle\nNDArrayWrapper\n.",
        b"cjoblib.numpy_pickle\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\ndtype\n(I1000000000000\ntS'b'\ntR.",
        b"cnumpy\nndarray\n(I1000000000000\ntR.",
        b"\x80\x02cnumpy\nndarray\nI1000000000000\n\x85\x81.",
        b"cnumpy\nndarray\n}S'__reduce__'\nI1\nsb.",  # a state for a class
        b"cnumpy.core.multiarray\nscalar\n(N}S'__defaults__'\nI1\nstb.",
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR(I3\nS'<'\nN(S'a'\ntN(I8\nI8\nI0\ntb.",  # a type of fields
        b"cnumpy\ndtype\n(S'f4'\nI0\nI1\ntR}S'code'\nS'O'\nsb.",
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00.",  # a bytearray of terabytes
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\x00\x00\x00.",
        b"",
        b"(",
        b"PK\x03\x04 nothing of joblib's",
    ],
)
def test_other_pickles_are_refused(tmp_path, payload) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(payload)
    with pytest.raises(ValueError, match=r"file\.pkl"):
        read_joblib(path)


def wrapped(path: Path, data: bytes = bytes(24), **changes: object) -> Path:
    """A file of one of joblib's arrays, three float64 zeros but for the changes to its record."""
    record = NumpyArrayWrapper(np.ndarray, (3,), "C", np.dtype("f8"), numpy_array_alignment_bytes=None)
    record.__dict__.update(changes)
    whole = pickle.dumps(record, protocol=2)
    assert whole[-1:] == b"."
    path.write_bytes(whole[:-1] + data + b".")
    return path


class _Evil(np.ndarray):
    pass


def test_records_of_arrays_are_not_believed(tmp_path, monkeypatch) -> None:
    path = tmp_path / "file.pkl"
    np.testing.assert_array_equal(read_joblib(wrapped(path)), np.zeros(3))
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, limits[1]))  # a terabyte must not even be asked for
    try:
        for shape in ((10**12,), (2**62, 4), (-3,), (3.0,), [3], (1,) * 40, (4,)):
            with pytest.raises(ValueError, match=r"file\.pkl: refused to unpickle an array of shape"):
                read_joblib(wrapped(path, shape=shape))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    monkeypatch.setitem(globals(), "_Evil", _Evil)
    with pytest.raises(ValueError, match=r"refused to unpickle .*_Evil"):
        read_joblib(wrapped(path, subclass=_Evil))
    with pytest.raises(ValueError, match="an array of kind 'a name'"):
        read_joblib(wrapped(path, subclass="a name"))
    with pytest.raises(ValueError, match="an array of objects"):
        read_joblib(wrapped(path, dtype=np.dtype("O")))
    with pytest.raises(ValueError, match="an array of type 'f8'"):
        read_joblib(wrapped(path, dtype="f8"))
    with pytest.raises(ValueError, match="order 'K'"):
        read_joblib(wrapped(path, order="K"))


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)])
def test_files_that_are_cut_short_are_told(tmp_path, compress) -> None:
    path = tmp_path / "file.pkl"
    joblib.dump({"a": np.random.default_rng(0).random(1000)}, path, compress=compress)
    whole = path.read_bytes()
    for length in (len(whole) // 2, len(whole) - 1, 1, 6):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"file\.pkl"):
            read_joblib(path)


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress, bz2.compress, lzma.compress])
def test_bombs_are_not_unpacked(tmp_path, pack) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(pack(b"\x80\x04" + bytes(50_000_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match=r"file\.pkl holds more than the 1000000 bytes it may"):
        read_joblib(path, max_bytes=1_000_000)


def test_the_limit_is_of_what_is_unpacked(tmp_path) -> None:
    path, inside = tmp_path / "file.pkl", io.BytesIO()
    joblib.dump(CONTENT, inside)
    path.write_bytes(zlib.compress(inside.getvalue()))
    read_joblib(path, max_bytes=len(inside.getvalue()))
    with pytest.raises(ValueError, match="holds more than"):
        read_joblib(path, max_bytes=len(inside.getvalue()) - 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x04\x22\x4d\x18 lz4", "compressed with lz4: load it where it was made"),
        (b"ZF0x10 old", "joblib before 0.10"),
        (b"\x78\x9c nothing", "cannot be decompressed"),
        (zlib.compress(pickle.dumps(1)) + b"more", "4 bytes after its end"),
    ],
)
def test_other_containers_are_explained(tmp_path, data, message) -> None:
    path = tmp_path / "file.pkl"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_joblib(path)


def test_no_file_is_told(tmp_path) -> None:
    with pytest.raises(ValueError, match="no file at"):
        read_joblib(tmp_path / "none.pkl")
