"""Read SMPL files of users: arrays only, whatever the file asks to run.

The published files are Python 2 pickles of numpy arrays, scipy matrices and chumpy expressions. A pickle can name any
function to be called while it loads. This reader resolves numpy's own array constructors and nothing else: scipy and
chumpy objects become plain records of what they hold, from which the arrays are taken, so neither chumpy nor scipy code
runs.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.body.skeleton import PARENTS
from models.body.smplx_fold import fold_smplx, is_smplx

WHERE_TO_GET = "SMPL files are licensed: register at https://smpl.is.tue.mpg.de and download one"
SHAPES: dict[str, tuple[int | str, ...]] = {
    "v_template": ("V", 3),
    "shapedirs": ("V", 3, "K"),
    "posedirs": ("V", 3, 9 * 23),
    "weights": ("V", 24),
    "J_regressor": (24, "V"),
    "kintree_table": (2, 24),
    "f": ("T", 3),
}
OPTIONAL_TEXTURE: dict[str, tuple[int | str, ...]] = {"vt": ("U", 2), "ft": ("T", 3)}
MIN_BETAS = 10


def read_smpl_file(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an SMPL ``.pkl`` or ``.npz``, under SMPL's own names and checked for shape.

    Those of SMPL-X are brought to SMPL's 24 joints first (``smplx_fold.py``).
    ``posedirs`` may be missing and is then zero; ``vt`` and ``ft`` (texture coordinates) are passed on where present.

    Raises:
        ValueError: if the file is missing, of another kind, holds anything but arrays, or is neither a 24-joint
            SMPL body nor a 55-joint SMPL-X body.
    """
    if not path.is_file():
        raise ValueError(
            f"no body file at {path}. {WHERE_TO_GET} (for example SMPL_NEUTRAL.pkl), then give its path as `body`; "
            "or use body: open, which needs no file"
        )
    if path.suffix not in _READERS:
        raise ValueError(f"{path} ends in {path.suffix!r}: a body file is an SMPL .pkl or .npz")
    raw = _READERS[path.suffix](path)
    arrays = {name: _dense(path, name, raw[name]) for name in (*SHAPES, *OPTIONAL_TEXTURE) if name in raw}
    if is_smplx(arrays):
        arrays = fold_smplx(path, arrays)
    if "posedirs" not in arrays and "v_template" in arrays:
        arrays["posedirs"] = np.zeros((len(arrays["v_template"]), 3, 9 * 23), np.float32)
    _check(path, arrays)
    return arrays


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in (*SHAPES, *OPTIONAL_TEXTURE) if name in archive.files}
    except (ValueError, OSError) as error:
        raise ValueError(f"{path} is not an archive of plain arrays ({error}): use the published .pkl") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="latin1").load()  # as Python 2 wrote bytes
    except ValueError:
        raise
    except Exception as error:  # a malformed pickle raises nearly anything
        raise ValueError(f"{path} is not an SMPL pickle ({error!r}). {WHERE_TO_GET}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not SMPL's dictionary. {WHERE_TO_GET}")
    return content


_READERS = {".npz": _read_npz, ".pkl": _read_pickle}


class _Record:
    """Stands for a scipy or chumpy object: keeps its attributes and runs nothing."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


def _reconstruct_record(kind: type, base: type, state: Any) -> _Record:
    """Python 2's ``copy_reg._reconstructor``, for records only."""
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise ValueError(f"refused to unpickle a {kind!r}: SMPL files hold arrays only")
    return kind()


class _ArrayUnpickler(pickle.Unpickler):
    """Resolves the constructors of numpy arrays; scipy and chumpy classes become records; refuses all else."""

    _NUMPY = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"})
    _NUMPY_MODULES = ("numpy", "numpy.core.multiarray", "numpy.core.numeric")

    def find_class(self, module: str, name: str) -> Any:
        numpy_module = module.replace("numpy._core", "numpy.core")  # numpy 2 renamed it
        if numpy_module in self._NUMPY_MODULES and name in self._NUMPY:
            return super().find_class(numpy_module, name)
        if module.split(".")[0] == "chumpy" or module.startswith("scipy.sparse"):
            return type(name, (_Record,), {})
        if (module, name) in {("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")}:
            return _reconstruct_record
        if (module, name) in {("__builtin__", "object"), ("builtins", "object")}:
            return object
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _encode_latin1
        raise ValueError(f"refused to unpickle {module}.{name}: SMPL files hold arrays only. {WHERE_TO_GET}")


def _encode_latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def _dense(path: Path, name: str, value: Any) -> np.ndarray:
    """A plain array from an array, a scipy matrix's record or a chumpy record."""
    if isinstance(value, _Record):
        held, kind = value.__dict__, type(value).__name__
        if kind in {"csc_matrix", "csr_matrix"}:
            matrix = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix}[kind]
            value = matrix((held["data"], held["indices"], held["indptr"]), shape=held["_shape"]).toarray()
        elif "x" in held:  # chumpy.Ch
            value = _dense(path, name, held["x"])
        elif {"a", "idxs", "preferred_shape"} <= held.keys():  # chumpy's Select: entries of another expression
            flat = _dense(path, name, held["a"]).ravel()
            value = flat[np.asarray(held["idxs"])].reshape(held["preferred_shape"])
        else:
            raise ValueError(f"{path}: {name} is a {kind} that this reader cannot evaluate; convert the file to .npz")
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} has type {array.dtype}, not numbers")
    return array


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Raise ``ValueError`` unless the arrays agree in shape and describe SMPL's 24 joints."""
    missing = sorted(SHAPES.keys() - arrays.keys())
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: it is not an SMPL file. {WHERE_TO_GET}")
    sizes: dict[str, int] = {}
    for name, expected in {**SHAPES, **OPTIONAL_TEXTURE}.items():
        shape = arrays[name].shape if name in arrays else None
        if shape is None:
            continue
        fits = len(shape) == len(expected)
        fits = fits and all(
            size == (sizes.setdefault(axis, size) if isinstance(axis, str) else axis)
            for size, axis in zip(shape, expected, strict=True)
        )
        if not fits:
            known = ", ".join(f"{axis} = {size}" for axis, size in sizes.items())
            wanted = " × ".join(map(str, expected))
            raise ValueError(f"{path}: {name} has shape {shape}, SMPL's is {wanted} ({known}); SMPL has 24 joints")
    if sizes["K"] < MIN_BETAS:
        raise ValueError(f"{path} has {sizes['K']} shape directions: at least {MIN_BETAS} are needed")
    if arrays["kintree_table"][0, 1:].tolist() != PARENTS[1:]:
        raise ValueError(f"{path}: kintree_table is not SMPL's skeleton: {arrays['kintree_table'][0].tolist()}")
    if arrays["f"].min() < 0 or arrays["f"].max() >= sizes["V"]:
        raise ValueError(f"{path}: faces name vertices beyond the {sizes['V']} there are")
