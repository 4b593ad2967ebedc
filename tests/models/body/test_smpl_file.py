"""User files: the published layout loads, and nothing in a file is ever run."""

import os
import pickle
import sys
import types

import numpy as np
import pytest
import torch
from scipy import sparse
from smplx.lbs import lbs

from models.body import PARENTS, load_body
from models.body.smpl_file import read_smpl_file

V = 40


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """A random body of 40 vertices in SMPL's layout, with pose blend shapes."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((V, 24)), rng.random((24, V)) * (rng.random((24, V)) < 0.3)
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, 10)),
        "posedirs": 0.1 * rng.normal(size=(V, 3, 207)),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(24)], dtype=np.uint32),
        "f": rng.integers(0, V, size=(60, 3)).astype(np.uint32),
    }


@pytest.fixture
def chumpy(monkeypatch) -> tuple[type, type]:
    """Classes that pickle under chumpy's names, as the published files hold them."""
    kinds = []
    for module, name in (("chumpy", ""), ("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
        if name:
            kinds.append(type(name, (object,), {"__module__": module}))
            setattr(sys.modules[module], name, kinds[-1])
    return kinds[0], kinds[1]


def _object(kind: type, **attributes: object) -> object:
    made = kind()
    made.__dict__.update(attributes)
    return made


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_published_pickle_layout_loads(tmp_path, arrays, chumpy, protocol, monkeypatch) -> None:
    ch, select = chumpy
    published: dict[str, object] = dict(arrays)
    published["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    published["v_template"] = _object(ch, x=arrays["v_template"])
    full = np.concatenate([arrays["shapedirs"], np.ones((V, 3, 2))], axis=2)
    kept = np.arange(full.size).reshape(full.shape)[:, :, :10].ravel()
    published["shapedirs"] = _object(select, a=_object(ch, x=full), idxs=kept, preferred_shape=(V, 3, 10))
    published |= {"bs_style": "lbs", "bs_type": "lrotmin", "J": _object(ch, unknown=1)}
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(published, protocol=protocol))
    for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, module)  # reading the file must not need chumpy

    read = read_smpl_file(path)
    for name, expected in arrays.items():
        np.testing.assert_allclose(read[name], expected)


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_pose_blend_shapes_equal_smplx(tmp_path, arrays, suffix, random_parameters) -> None:
    path = tmp_path / f"body{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        path.write_bytes(pickle.dumps(arrays))
    body = load_body(path)
    betas, pose, translation = random_parameters(2)
    tensors = {name: torch.tensor(value.astype(np.float32)) for name, value in arrays.items()}
    vertices, joints = lbs(
        betas,
        pose.flatten(1),
        tensors["v_template"],
        tensors["shapedirs"],
        tensors["posedirs"].reshape(-1, 207).T,
        tensors["J_regressor"],
        torch.tensor(PARENTS),
        tensors["weights"],
    )
    ours = body(betas, pose, translation)
    torch.testing.assert_close(ours.vertices, vertices + translation[:, None], atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(ours.joints, joints + translation[:, None], atol=2e-5, rtol=1e-5)


class _Hostile:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_hostile_pickle_is_refused_and_not_run(tmp_path, arrays, protocol) -> None:
    proof = tmp_path / "was_run"
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    content = {**arrays, "v_template": _Hostile(f"touch {proof}")}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(ValueError, match=r"refused to unpickle \w+\.system"):
        load_body(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes())
    assert proof.exists(), "the attack must be a real one"


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfrombuffer\n(S'x'\ntR.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.",
        b"cscipy.sparse._csc\nos.system\n(S'true'\ntR.",
    ],
)
def test_other_callables_are_refused(tmp_path, payload) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(payload)
    with pytest.raises(ValueError, match="SMPL"):
        read_smpl_file(path)


@pytest.mark.parametrize("protocol", [2, 5])
def test_arrays_of_objects_are_left_out(tmp_path, arrays, protocol) -> None:
    """SMPL-X has some that nobody needs."""
    path, objects = tmp_path / "SMPL_NEUTRAL.pkl", np.array([{"Pelvis": 0}], dtype=object)
    path.write_bytes(pickle.dumps({**arrays, "joint2num": objects}, protocol=protocol))
    np.testing.assert_array_equal(read_smpl_file(path)["f"], arrays["f"])
    path.write_bytes(pickle.dumps({**arrays, "v_template": objects}, protocol=protocol))
    with pytest.raises(ValueError, match="v_template has type object, not numbers"):
        read_smpl_file(path)


def test_npz_with_pickled_objects_is_refused(tmp_path, arrays) -> None:
    path = tmp_path / "body.npz"
    np.savez(path, **{**arrays, "J_regressor": np.array([_Hostile("true")], dtype=object)})
    with pytest.raises(ValueError, match="plain arrays"):
        read_smpl_file(path)


def _drop(arrays, name):
    del arrays[name]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: _drop(a, "weights"), "lacks weights"),
        (lambda a: a.update(weights=a["weights"][:, :23]), r"weights has shape \(40, 23\).*24 joints"),
        (lambda a: a.update(shapedirs=a["shapedirs"][..., :4]), "4 shape directions: at least 10"),
        (lambda a: a["f"].__setitem__((0, 0), V), "faces name vertices beyond the 40"),
        (lambda a: a["kintree_table"].__setitem__((0, 5), 0), "not SMPL's skeleton"),
        (lambda a: a.update(f=np.full((2, 3), "x")), "not numbers"),
    ],
)
def test_files_of_another_kind_are_explained(tmp_path, arrays, spoil, message) -> None:
    spoil(arrays)
    path = tmp_path / "body.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message):
        read_smpl_file(path)


def test_other_suffixes_are_explained(tmp_path) -> None:
    path = tmp_path / "body.obj"
    path.write_text("v 0 0 0")
    with pytest.raises(ValueError, match=r"'\.obj'.*\.pkl or \.npz"):
        read_smpl_file(path)


def test_a_sparse_matrix_writes_nowhere_but_into_itself(tmp_path, arrays) -> None:
    regressor = sparse.csc_matrix(arrays["J_regressor"])
    regressor.indices[3] = 10**9  # a row that is not there
    path = tmp_path / "body.pkl"
    path.write_bytes(pickle.dumps(arrays | {"J_regressor": regressor}))
    with pytest.raises(ValueError, match="indices"):
        read_smpl_file(path)
    huge = sparse.csc_matrix(([1.0], [0], np.zeros(10**5 + 1, np.int32)), shape=(10**5, 10**5))
    path.write_bytes(pickle.dumps(arrays | {"J_regressor": huge}))
    with pytest.raises(ValueError, match="no body has so many entries"):
        read_smpl_file(path)
