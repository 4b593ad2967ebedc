"""The head against smplx's own FLAME, and against what jaws, lids and eyes do."""

import contextlib
import io
import math
import pickle

import numpy as np
import pytest
import smplx
import torch
from torch import Tensor

from models.body import HEAD_JOINT_NAMES, HeadModel, SurfacePoints, load_body
from models.body.open_head import ensure_open_head

J = {name: index for index, name in enumerate(HEAD_JOINT_NAMES)}


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_body("open-head")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """smplx's FLAME on the same file, in the folder it asks for."""
    folder = tmp_path_factory.mktemp("flame")
    (folder / "FLAME_NEUTRAL.npz").symlink_to(ensure_open_head())
    landmark = {"lmk_face_idx": np.zeros(1, int), "lmk_b_coords": np.ones((1, 3)) / 3}
    (folder / "flame_static_embedding.pkl").write_bytes(pickle.dumps(landmark))
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.FLAME(str(folder), ext="npz", num_expression_coeffs=43, batch_size=3)


def posed(head: HeadModel, turn: dict[str, tuple[float, float, float]] | None = None, **expression: float) -> Tensor:
    """Vertices of the mean head with some joints turned and some expressions made."""
    pose, face = torch.zeros(5, 3), torch.zeros(len(head.expression_names))
    for joint, rotation in (turn or {}).items():
        pose[J[joint]] = torch.tensor(rotation)
    for name, strength in expression.items():
        face[head.expression_names.index(name)] = strength
    return head(torch.zeros(10), pose, torch.zeros(3), face).vertices


def test_equals_smplx(head, reference) -> None:
    betas, pose, translation = torch.randn(3, 10), 0.3 * torch.randn(3, 5, 3), torch.randn(3, 3)
    face = torch.rand(3, 43)
    root, neck, jaw, left, right = pose.unbind(dim=1)
    theirs = reference(
        betas=betas, global_orient=root, neck_pose=neck, jaw_pose=jaw, leye_pose=left, reye_pose=right,
        transl=translation, expression=face,
    )  # fmt: skip
    ours = head(betas, pose, translation, face)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :5], atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_parts_equal_the_whole_for_any_batch(head, batch) -> None:
    parameters = (
        torch.randn(*batch, 10),
        0.3 * torch.randn(*batch, 5, 3),
        torch.randn(*batch, 3),
        torch.rand(*batch, 43),
    )
    whole, some = head(*parameters), torch.tensor([5, 4000, 17])
    assert whole.vertices.shape == (*batch, head.num_vertices, 3)
    torch.testing.assert_close(head.vertices_at(some, *parameters), whole.vertices[..., some, :], atol=1e-6, rtol=0)
    torch.testing.assert_close(head.joints(*parameters), whole.joints, atol=1e-6, rtol=0)


def test_fewer_expressions_are_the_first_ones(head) -> None:
    few, nowhere = torch.rand(7), (torch.zeros(10), torch.zeros(5, 3), torch.zeros(3))
    padded = torch.cat([few, torch.zeros(36)])
    torch.testing.assert_close(head(*nowhere, few).vertices, head(*nowhere, padded).vertices)
    with pytest.raises(ValueError, match="44 expressions were given, this body has 43"):
        head(*nowhere, torch.zeros(44))


def test_a_pose_of_another_skeleton_says_which_body_to_set(head, body) -> None:
    with pytest.raises(ValueError, match="24 joints, this body has 5: set body to open, or an SMPL file"):
        head(torch.zeros(10), torch.zeros(24, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="5 joints, this body has 24: set body to open-head, or a FLAME file"):
        body(torch.zeros(10), torch.zeros(5, 3), torch.zeros(3))
    with pytest.raises(ValueError, match="this body has 0: set body to open-head"):
        body(torch.zeros(10), torch.zeros(24, 3), torch.zeros(3), torch.zeros(43))


def test_the_head_looks_along_z_with_its_root_at_the_origin(head) -> None:
    joints = head.joints(torch.zeros(10), torch.zeros(5, 3), torch.zeros(3))
    torch.testing.assert_close(joints[0], torch.zeros(3), atol=1e-3, rtol=0)
    assert joints[J["left_eye"], 0] > 0.02
    assert joints[J["right_eye"], 0] < -0.02
    assert joints[J["left_eye"], 1] > joints[J["neck"], 1] + 0.08
    nose = head.rest_vertices[head.rest_vertices[:, 2].where(head.rest_vertices[:, 1] > 0, 0).argmax()]
    assert nose[0].abs() < 5e-3
    assert nose[2] > joints[J["left_eye"], 2] + 0.02


def test_the_jaw_opens_the_mouth(head) -> None:
    rest, opened = head.rest_vertices, posed(head, {"jaw": (0.3, 0, 0)})
    moved = opened - rest
    front = (rest[:, 0].abs() < 0.015) & (rest[:, 2] > 0.128) & (rest[:, 1] > 0)
    chin, upper_lip = front & (rest[:, 1] < 0.05), front & (rest[:, 1] > 0.0715)  # the lips meet at 0.07 m
    assert chin.sum() > 10
    assert upper_lip.sum() > 10
    assert moved[chin, 1].max() < -0.015, "the chin goes down"
    assert moved[upper_lip].abs().max() < 1e-3, "the upper lip and what lies above stays"
    assert moved[rest[:, 1] < -0.05].abs().max() < 1e-3, "and so does the bust"


@pytest.mark.parametrize(("side", "other"), [("Left", "Right"), ("Right", "Left")])
def test_a_blink_closes_one_eye(head, side, other) -> None:
    def gap(vertices: Tensor, which: str) -> float:
        """Height of the opening between the lids where the eye's middle is: what of the eyeball is in front."""
        eye = head.joints(torch.zeros(10), torch.zeros(5, 3), torch.zeros(3))[J[f"{which.lower()}_eye"]]
        skin = head.vertex_part < J["left_eye"]
        near = (
            skin & ((head.rest_vertices - eye)[:, 0].abs() < 0.006) & ((head.rest_vertices - eye).norm(dim=1) < 0.025)
        )
        height = head.rest_vertices[near, 1] - eye[1]
        upper, lower = vertices[near][height > 0], vertices[near][height < 0]
        return float(upper[:, 1].min() - lower[:, 1].max())

    closed = posed(head, **{f"eyeBlink{side}": 1.0})
    assert gap(head.rest_vertices, side) > 0.004
    assert gap(closed, side) < 0.001
    assert gap(closed, other) > 0.004


def test_eyes_turn_in_their_sockets(head) -> None:
    rest, turned = head.rest_vertices, posed(head, {"left_eye": (0, 0.4, 0)})
    ball = head._skinning[:, J["left_eye"]] > 0.9
    eye = head.joints(torch.zeros(10), torch.zeros(5, 3), torch.zeros(3))[J["left_eye"]]
    pupil = (rest - eye)[:, 2].where(ball, -1).argmax()
    angle = torch.atan2(*(turned[pupil] - eye)[[0, 2]]) - torch.atan2(*(rest[pupil] - eye)[[0, 2]])
    assert angle.item() == pytest.approx(0.4, abs=0.02)
    torch.testing.assert_close((turned - eye).norm(dim=1)[ball], (rest - eye).norm(dim=1)[ball], atol=5e-4, rtol=0)
    still = (turned - rest).norm(dim=1) < 1e-6
    assert still[head._skinning[:, J["left_eye"]] == 0].all()


def test_the_neck_turns_the_face_and_not_the_shoulders(head) -> None:
    turned = posed(head, {"neck": (0, math.radians(40), 0)})
    rest = head.rest_vertices
    nose = rest[:, 2].where(rest[:, 1] > 0, 0).argmax()
    assert turned[nose, 0] > 0.06
    assert (turned - rest)[rest[:, 1] < -0.1].norm(dim=1).max() < 2e-3


def test_expressions_leave_the_joints(head) -> None:
    nowhere = torch.zeros(43, 10), torch.zeros(43, 5, 3), torch.zeros(43, 3)
    torch.testing.assert_close(head.joints(*nowhere, torch.eye(43)), head.joints(*nowhere), atol=1e-5, rtol=0)
    assert len(set(head.expression_names)) == 43
    assert not any("eyeLook" in name or name == "jawOpen" for name in head.expression_names)


def test_most_points_lie_on_the_face_and_none_at_the_cut(head) -> None:
    points = SurfacePoints(head, num_points=1000)
    rest = points.rest(torch.zeros(10))
    front = (rest[:, 1] > 0.04) & (rest[:, 2] > 0.04)
    assert front.float().mean() > 0.5
    assert rest[:, 1].min() > head.rest_vertices[:, 1].min() + 0.04
    parts = torch.bincount(points.part, minlength=5)
    assert (parts[J["left_eye"] :] >= 5).all(), "points on each eye say where it looks"


def test_points_of_heads_follow_expressions(head) -> None:
    points = SurfacePoints(head, num_points=300)
    still = torch.zeros(10), torch.zeros(5, 3), torch.zeros(3)
    smile = torch.zeros(43)
    smile[[head.expression_names.index(f"mouthSmile{side}") for side in ("Left", "Right")]] = 1
    moved = (points(*still, smile) - points(*still)).norm(dim=1)
    assert moved.max() > 0.008
    triangles = head(*still, smile).vertices[head.faces[points.face]]
    expected = torch.einsum("nk,nkc->nc", points.barycentric, triangles)
    torch.testing.assert_close(points(*still, smile), expected, atol=1e-6, rtol=0)
