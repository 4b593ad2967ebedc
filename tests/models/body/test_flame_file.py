"""A user's FLAME file: the published layouts load, equal smplx's own model, and are told apart from SMPL's."""

import contextlib
import io
import pickle
import sys
import types

import numpy as np
import pytest
import smplx
import torch
from scipy import sparse

from models.body import HEAD_PARENTS, HeadModel, load_body
from models.body.smpl_file import read_smpl_file

V = 40


def flame_arrays(directions: int) -> dict[str, np.ndarray]:
    """A random head of 40 vertices in FLAME's layout, with pose blend shapes."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((V, 5)), rng.random((5, V)) * (rng.random((5, V)) < 0.5)
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": 0.1 * rng.normal(size=(V, 3, directions)),
        "posedirs": 0.1 * rng.normal(size=(V, 3, 36)),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *HEAD_PARENTS[1:]], range(5)], dtype=np.int64),
        "f": rng.integers(0, V, size=(60, 3)).astype(np.uint32),
    }


def published(arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, protocol: int) -> bytes:
    """A pickle as published: scipy's and chumpy's objects among the arrays, bytes as Python 2 wrote them."""
    for module in ("chumpy", "chumpy.ch"):
        monkeypatch.setitem(sys.modules, module, types.ModuleType(module))
    ch = type("Ch", (object,), {"__module__": "chumpy.ch"})
    sys.modules["chumpy.ch"].Ch = ch
    held: dict[str, object] = dict(arrays)
    held["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    for name in ("shapedirs", "v_template"):
        held[name] = ch()
        held[name].__dict__.update(x=arrays[name])
    held |= {"bs_style": "lbs", "bs_type": "lrotmin", "J": ch()}
    content = pickle.dumps(held, protocol=protocol)
    for module in ("chumpy", "chumpy.ch"):
        monkeypatch.delitem(sys.modules, module)  # reading the file must not need chumpy
    return content


@pytest.mark.parametrize(("directions", "expressions"), [(400, 100), (20, 10)])
@pytest.mark.parametrize("protocol", [0, 2])
def test_a_published_pickle_equals_smplx(tmp_path, monkeypatch, directions, expressions, protocol) -> None:
    arrays = flame_arrays(directions)
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(published(arrays, monkeypatch, protocol))
    head = load_body(path)
    assert isinstance(head, HeadModel)
    assert len(head.expression_names) == expressions

    (tmp_path / "FLAME_NEUTRAL.pkl").write_bytes(pickle.dumps(arrays))
    landmark = {"lmk_face_idx": np.zeros(1, int), "lmk_b_coords": np.ones((1, 3)) / 3}
    (tmp_path / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmark))
    with contextlib.redirect_stdout(io.StringIO()):
        reference = smplx.FLAME(str(tmp_path), num_expression_coeffs=expressions, batch_size=3)
    betas, pose, translation = torch.randn(3, 10), 0.3 * torch.randn(3, 5, 3), torch.randn(3, 3)
    face = torch.randn(3, expressions)
    root, neck, jaw, left, right = pose.unbind(dim=1)
    theirs = reference(
        betas=betas, global_orient=root, neck_pose=neck, jaw_pose=jaw, leye_pose=left, reye_pose=right,
        transl=translation, expression=face,
    )  # fmt: skip
    ours = head(betas, pose, translation, face)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :5], atol=1e-5, rtol=1e-5)


def test_an_npz_with_names_loads(tmp_path) -> None:
    np.savez(tmp_path / "head.npz", **flame_arrays(20), expression_names=np.array(["smile", "frown"]))
    assert load_body(tmp_path / "head.npz").expression_names == ["smile", "frown"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shapedirs": np.zeros((V, 3, 10))}, "10 shape directions: at least 20 are needed for FLAME"),
        ({"weights": np.zeros((V, 24))}, r"weights has shape \(40, 24\), FLAME's is V × 5"),
        ({"kintree_table": np.array([[-1, 0, 1, 1, 2], range(5)])}, "not FLAME's skeleton"),
        ({"expression_names": np.array([["a"]])}, "expression_names is"),
        ({"expression_names": np.array(list("abcdefghijk"))}, "1 to 10 texts"),
        ({"sampling_weight": np.zeros(59)}, "sampling_weight has shape"),
    ],
)
def test_files_of_another_kind_are_explained(tmp_path, changes, message) -> None:
    np.savez(tmp_path / "head.npz", **flame_arrays(20) | changes)
    with pytest.raises(ValueError, match=message) as raised:
        read_smpl_file(tmp_path / "head.npz")
    assert "head.npz" in str(raised.value)


def test_a_missing_file_says_where_heads_are(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"flame\.is\.tue\.mpg\.de.*body: open-head"):
        load_body(tmp_path / "FLAME2020.pkl")
