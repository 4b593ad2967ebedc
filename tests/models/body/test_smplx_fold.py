"""SMPL-X files against smplx's own SMPL-X model, with flat hands and a closed mouth."""

import pickle

import numpy as np
import pytest
import smplx
import torch
from smplx.joint_names import JOINT_NAMES

from models.body import load_body
from models.body.smplx_fold import PARENTS

V, T = 60, 90


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """A random body of 60 vertices in SMPL-X's layout."""
    rng = np.random.default_rng(0)
    weights, regressor = rng.random((V, 55)) ** 4, rng.random((55, V)) * (rng.random((55, V)) < 0.3)
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, 400)),
        "posedirs": 0.1 * rng.normal(size=(V, 3, 486)),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, *PARENTS[1:]], range(55)], dtype=np.int64),
        "f": rng.integers(0, V, size=(T, 3)).astype(np.uint32),
        "vt": rng.random((70, 2)),
        "ft": rng.integers(0, 70, size=(T, 3)).astype(np.uint32),
    }


def save(path, arrays) -> None:
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        path.write_bytes(pickle.dumps(arrays))


def test_the_skeleton_is_smplx_own() -> None:
    names = JOINT_NAMES[:55]
    for joint, parent in enumerate(PARENTS):
        name = names[joint]
        if name[-1] in "23" and joint >= 25:
            assert names[parent] == f"{name[:-1]}{int(name[-1]) - 1}"
        elif joint >= 25:
            assert names[parent] == f"{name.split('_')[0]}_wrist"
    assert [names[j] for j in (15, 22, 23, 24, 28, 43)] == [
        "head", "jaw", "left_eye_smplhf", "right_eye_smplhf", "left_middle1", "right_middle1",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_vertices_are_those_of_smplx(tmp_path, arrays, suffix, random_parameters) -> None:
    path = tmp_path / f"SMPLX_NEUTRAL{suffix}"
    save(path, arrays)
    more = {
        "hands_componentsl": np.eye(45), "hands_componentsr": np.eye(45),
        "hands_meanl": np.ones(45), "hands_meanr": np.ones(45),
        "lmk_faces_idx": np.zeros(51, np.int64), "lmk_bary_coords": np.full((51, 3), 1 / 3),
    }  # fmt: skip
    full = tmp_path / "with_hands_and_landmarks.npz"
    save(full, arrays | more)
    reference = smplx.SMPLX(
        str(full), num_betas=10, use_pca=False, flat_hand_mean=True,
        use_face_contour=False, batch_size=3,
    )  # fmt: skip
    reference.vertex_joint_selector.extra_joints_idxs = torch.zeros(0, dtype=torch.long)
    betas, pose, translation = random_parameters(3)
    pose[:, 22:] = 0
    theirs = reference(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:22].flatten(1), transl=translation)
    ours = load_body(path)(betas, pose, translation)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints[:, :22], theirs.joints[:, :22], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints[:, 22:], theirs.joints[:, [28, 43]], atol=1e-5, rtol=0)


def test_a_hand_turns_about_the_middle_finger(tmp_path, arrays) -> None:
    """Turning SMPL's hand joint moves what SMPL-X's fingers move, rigidly about the base of the middle finger."""
    arrays["weights"] = np.zeros((V, 55))
    arrays["weights"][: V // 2, 36] = arrays["weights"][V // 2 :, 22] = 1  # a ring finger and the jaw
    arrays["posedirs"] = np.zeros((V, 3, 486))
    path = tmp_path / "x.npz"
    save(path, arrays)
    body = load_body(path)
    pose = torch.zeros(24, 3)
    pose[22, 2] = np.pi
    still, turned = (body(torch.zeros(10), p, torch.zeros(3)) for p in (torch.zeros(24, 3), pose))
    torch.testing.assert_close(turned.vertices[V // 2 :], still.vertices[V // 2 :])
    mirrored = 2 * still.joints[22] - still.vertices[: V // 2]
    torch.testing.assert_close(turned.vertices[: V // 2, :2], mirrored[:, :2], atol=1e-4, rtol=0)
    assert (body.vertex_part[: V // 2] == 22).all()
    assert (body.vertex_part[V // 2 :] == 15).all()
    assert body.texture_faces.shape == (T, 3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"posedirs": np.zeros((V, 3, 207))}, r"posedirs.*207.*486"),
        ({"J_regressor": np.zeros((24, V))}, r"J_regressor.*24.*55"),
        ({"kintree_table": np.array([[-1, *([0] * 54)], range(55)])}, "skeleton"),
        ({"shapedirs": np.zeros((V, 3, 6))}, "at least 10"),
    ],
)
def test_a_file_that_is_not_smplx_is_refused(tmp_path, arrays, wrong, says) -> None:
    path = tmp_path / "x.npz"
    save(path, arrays | wrong)
    with pytest.raises(ValueError, match=says):
        load_body(path)
