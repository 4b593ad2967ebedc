"""Read SMPL and FLAME files of users: arrays only, whatever the file asks to run.

The published files are Python 2 pickles of numpy arrays, scipy matrices and chumpy expressions. A pickle can name any
function to be called while it loads. This reader takes arrays (``models/files/array_pickle.py``) and nothing else:
scipy and chumpy objects become plain records of what they hold, from which the arrays are taken, so neither chumpy nor
scipy code runs.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from models.body.skeleton import HEAD_PARENTS, PARENTS
from models.body.smplx_fold import fold_smplx, is_smplx
from models.files.array_pickle import ArrayUnpickler, RefusedPickle

OPTIONAL: dict[str, tuple[int | str, ...]] = {"vt": ("U", 2), "ft": ("T", 3), "sampling_weight": ("T",)}
NAMES = "expression_names"
"""Only in the open head; text."""
MIN_BETAS = 10


@dataclass(frozen=True)
class Layout:
    """What the files of one kind hold."""

    name: str
    parents: list[int]
    min_directions: int
    where_to_get: str

    @property
    def shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Axes of the arrays; letters may be anything that agrees."""
        joints = len(self.parents)
        return {
            "v_template": ("V", 3),
            "shapedirs": ("V", 3, "K"),
            "posedirs": ("V", 3, 9 * (joints - 1)),
            "weights": ("V", joints),
            "J_regressor": (joints, "V"),
            "kintree_table": (2, joints),
            "f": ("T", 3),
        }


SMPL = Layout(
    "SMPL", PARENTS, MIN_BETAS, "SMPL files are licensed: register at https://smpl.is.tue.mpg.de and download one"
)
FLAME = Layout(
    "FLAME",
    HEAD_PARENTS,
    2 * MIN_BETAS,  # smplx reads ten of shape and ten of expression, or 300 and 100
    "FLAME files are licensed: register at https://flame.is.tue.mpg.de and download one (generic_model.pkl)",
)
MAX_ENTRIES = 1e8
"""Of a sparse matrix; SMPL's regressor has 165,000."""

ARRAYS = (*SMPL.shapes, *OPTIONAL)


def read_smpl_file(path: Path) -> dict[str, np.ndarray]:
    """Arrays of an SMPL, SMPL-X or FLAME ``.pkl`` or ``.npz``, under its own names and checked for shape.

    Those of SMPL-X are brought to SMPL's 24 joints first (``smplx_fold.py``). ``posedirs`` may be missing and is then
    zero; ``vt`` and ``ft`` (texture coordinates) and the open head's own ``sampling_weight`` and ``expression_names``
    are passed on where present.

    Raises:
        ValueError: if the file is missing, of another kind, holds anything but arrays, or is neither a 24-joint SMPL
            body, a 55-joint SMPL-X body nor a 5-joint FLAME head.
    """
    if not path.is_file():
        raise ValueError(
            f"no body file at {path}. {SMPL.where_to_get} (for example SMPL_NEUTRAL.pkl), then give its path as "
            f"`body`; or use body: open, which needs no file. {FLAME.where_to_get}; or use body: open-head"
        )
    if path.suffix not in _READERS:
        raise ValueError(f"{path} ends in {path.suffix!r}: a body file is an SMPL, SMPL-X or FLAME .pkl or .npz")
    raw = _READERS[path.suffix](path)
    arrays = {name: _dense(path, name, raw[name]) for name in ARRAYS if name in raw}
    if is_smplx(arrays):
        arrays = fold_smplx(path, arrays)
    layout = _layout(arrays)
    if "posedirs" not in arrays and "v_template" in arrays:
        arrays["posedirs"] = np.zeros((len(arrays["v_template"]), 3, 9 * (len(layout.parents) - 1)), np.float32)
    _check(path, arrays, layout)
    if layout is FLAME and NAMES in raw:
        arrays[NAMES] = _names(path, raw[NAMES], arrays)
    return arrays


def _layout(arrays: dict[str, np.ndarray]) -> Layout:
    """FLAME's for five joints, else SMPL's."""
    joints = arrays["kintree_table"].shape[-1:] if "kintree_table" in arrays else ()
    return FLAME if joints == (len(FLAME.parents),) else SMPL


def _read_npz(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in (*ARRAYS, NAMES) if name in archive.files}
    except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile) as error:  # TypeError: a lone array
        raise ValueError(f"{path} is not an archive of plain arrays ({error}): use the published .pkl") from error


def _read_pickle(path: Path) -> dict[str, Any]:
    holds = f"SMPL and FLAME files hold arrays only. {_WHERE_TO_GET}"
    content = _BodyUnpickler(path.read_bytes(), path, holds, encoding="latin1").load()  # as Python 2 wrote bytes
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, not a dictionary of arrays. {_WHERE_TO_GET}")
    return content


_WHERE_TO_GET = f"{SMPL.where_to_get}. {FLAME.where_to_get}"
_READERS = {".npz": _read_npz, ".pkl": _read_pickle}


class _Record:
    """Stands for a scipy or chumpy object: keeps its attributes and runs nothing."""


def _reconstruct_record(kind: type, base: type, state: Any) -> _Record:
    """Python 2's ``copy_reg._reconstructor``, for records only."""
    if not (isinstance(kind, type) and issubclass(kind, _Record)):
        raise RefusedPickle(f"a {kind!r}")
    return kind()


class _BodyUnpickler(ArrayUnpickler):
    """Scipy and chumpy classes become records."""

    object_arrays = True  # SMPL-X has some, which nothing here reads

    def find_other(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "chumpy" or module.startswith("scipy.sparse"):
            return type(name, (_Record,), {})
        if (module, name) in {("copy_reg", "_reconstructor"), ("copyreg", "_reconstructor")}:
            return _reconstruct_record
        if (module, name) in {("__builtin__", "object"), ("builtins", "object")}:
            return object
        return super().find_other(module, name)

    def build(self, made: Any, state: Any) -> Any:
        if not isinstance(made, _Record):
            return super().build(made, state)
        if isinstance(state, dict):
            made.__dict__.update(state)
        return made


def _dense(path: Path, name: str, value: Any) -> np.ndarray:
    """A plain array from an array, a scipy matrix's record or a chumpy record."""
    if isinstance(value, _Record):
        held, kind = value.__dict__, type(value).__name__
        if kind in {"csc_matrix", "csr_matrix"}:
            matrix = {"csc_matrix": sparse.csc_matrix, "csr_matrix": sparse.csr_matrix}[kind]
            if np.prod(np.asarray(held["_shape"], float)) > MAX_ENTRIES:
                raise ValueError(f"{path}: {name} is a matrix of {held['_shape']}: no body has so many entries")
            made = matrix((held["data"], held["indices"], held["indptr"]), shape=held["_shape"])
            made.check_format(full_check=True)  # or its indices are written to, wherever they point
            value = made.toarray()
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


def _names(path: Path, value: Any, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Names of the expressions; raises ``ValueError`` unless they are text and there is a direction for each."""
    names = np.asarray(value)
    room = 100 if arrays["shapedirs"].shape[-1] >= 400 else 10  # as smplx.FLAME divides shapedirs
    if names.dtype.kind != "U" or names.ndim != 1 or not 0 < len(names) <= room:
        raise ValueError(f"{path}: {NAMES} is {names.dtype} of shape {names.shape}: a list of 1 to {room} texts")
    return names


def _check(path: Path, arrays: dict[str, np.ndarray], layout: Layout) -> None:
    """Raise ``ValueError`` unless the arrays agree in shape and describe the joints of the layout."""
    kind, shapes, joints = layout.name, layout.shapes, len(layout.parents)
    missing = sorted(shapes.keys() - arrays.keys())
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}: it is not a {kind} file. {layout.where_to_get}")
    sizes: dict[str, int] = {}
    for name, expected in {**shapes, **OPTIONAL}.items():
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
            raise ValueError(
                f"{path}: {name} has shape {shape}, {kind}'s is {wanted} ({known}); {kind} has {joints} joints. "
                f"{layout.where_to_get}"
            )
    if sizes["K"] < layout.min_directions:
        raise ValueError(
            f"{path} has {sizes['K']} shape directions: at least {layout.min_directions} are needed for {kind}. "
            f"{layout.where_to_get}"
        )
    if arrays["kintree_table"][0, 1:].tolist() != layout.parents[1:]:
        raise ValueError(f"{path}: kintree_table is not {kind}'s skeleton: {arrays['kintree_table'][0].tolist()}")
    if arrays["f"].min() < 0 or arrays["f"].max() >= sizes["V"]:
        raise ValueError(f"{path}: faces name vertices beyond the {sizes['V']} there are")
