"""The body against smplx's own forward pass, against rigid motions, and against what a T-pose is."""

import contextlib
import copy
import io

import pytest
import smplx
import torch
from smplx.lbs import batch_rodrigues
from smplx.utils import Struct

from models.body import JOINT_NAMES, load_body
from models.body.open_body import ensure_open_body
from models.body.smpl_file import read_smpl_file

J = {name: index for index, name in enumerate(JOINT_NAMES)}
ZERO = (torch.zeros(10), torch.zeros(24, 3), torch.zeros(3))


@pytest.fixture(scope="module")
def reference():
    """smplx's SMPL on the same file."""
    with contextlib.redirect_stdout(io.StringIO()):
        return smplx.SMPL("", data_struct=Struct(**read_smpl_file(ensure_open_body())))


def test_equals_smplx(body, reference, random_parameters) -> None:
    betas, pose, translation = random_parameters(3)
    theirs = reference(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), transl=translation)
    ours = body(betas, pose, translation)
    torch.testing.assert_close(ours.vertices, theirs.vertices, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.joints, theirs.joints[:, :24], atol=1e-5, rtol=0)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_parts_equal_the_whole_for_any_batch(body, random_parameters, batch) -> None:
    parameters = random_parameters(*batch)
    whole = body(*parameters)
    some = torch.tensor([5, 4000, 17, 12000])
    assert whole.vertices.shape == (*batch, body.num_vertices, 3)
    torch.testing.assert_close(body.vertices_at(some, *parameters), whole.vertices[..., some, :], atol=1e-6, rtol=0)
    torch.testing.assert_close(body.joints(*parameters), whole.joints, atol=1e-6, rtol=0)


def test_batch_entries_do_not_mix(body, random_parameters) -> None:
    betas, pose, translation = random_parameters(2, 3)
    together = body.joints(betas, pose, translation)
    torch.testing.assert_close(together[1, 2], body.joints(betas[1, 2], pose[1, 2], translation[1, 2]))


def test_global_orientation_turns_the_body_about_its_pelvis(body, random_parameters) -> None:
    betas, pose, translation = random_parameters()
    turned = pose.clone()
    pose[0] = 0
    before, after = body(betas, pose, translation), body(betas, turned, translation)
    rotation, pelvis = batch_rodrigues(turned[:1])[0], before.joints[0]
    expected = (before.vertices - pelvis) @ rotation.T + pelvis
    torch.testing.assert_close(after.vertices, expected, atol=2e-6, rtol=0)


def test_gradients_are_those_of_finite_differences(body, random_parameters) -> None:
    double = copy.deepcopy(body).double()
    parameters = [p.double().requires_grad_() for p in random_parameters(2)]
    some = torch.tensor([100, 9000])
    assert torch.autograd.gradcheck(lambda *p: double.vertices_at(some, *p), parameters)
    assert torch.autograd.gradcheck(double.joints, parameters)


def test_gradient_is_finite_at_the_zero_pose(body) -> None:
    parameters = [p.clone().requires_grad_() for p in ZERO]
    body.joints(*parameters).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in parameters)


def test_zero_pose_is_a_t_pose(body) -> None:
    joints = body.joints(*ZERO)
    for side, sign in (("left", 1), ("right", -1)):
        arm = joints[[J[f"{side}_{part}"] for part in ("shoulder", "elbow", "wrist", "hand")]]
        assert (arm[:, 1:] - arm[0, 1:]).abs().max() < 2e-3, "arms must lie along x"
        assert (sign * arm[:, 0]).diff().min() > 0.05, "the left arm points to +x, the right to -x"
        ankle, foot = joints[J[f"{side}_ankle"]], joints[J[f"{side}_foot"]]
        assert foot[2] > ankle[2] + 0.08, "toes point to +z"
        assert ankle[1] < joints[J[f"{side}_knee"], 1] < joints[J[f"{side}_hip"], 1] < joints[J["head"], 1]
    torch.testing.assert_close(joints[0], torch.zeros(3), atol=1e-3, rtol=0)


def test_the_nose_points_to_z(body) -> None:
    head = body.rest_vertices[body.vertex_part == J["head"]]
    nose = head[head[:, 2].argmax()]
    assert nose[0].abs() < 5e-3
    assert nose[2] > body.joints(*ZERO)[J["head"], 2] + 0.08


def test_left_and_right_mirror_each_other(body) -> None:
    joints = body.joints(*ZERO)
    other = {"left": "right", "right": "left"}
    sides = [name.partition("_") for name in JOINT_NAMES]
    mirror = [J[other.get(side, side) + rest + part] for side, rest, part in sides]
    torch.testing.assert_close(joints[mirror] * torch.tensor([-1.0, 1, 1]), joints, atol=1e-3, rtol=0)


def test_triangles_face_outwards(body) -> None:
    a, b, c = body.rest_vertices[body.faces].unbind(dim=1)
    volume_litres = 1000 * (a * torch.linalg.cross(b, c)).sum() / 6
    assert 45 < volume_litres < 110  # of an adult


def test_texture_coordinates_cover_every_triangle(body) -> None:
    assert body.texture_faces.shape == body.faces.shape
    assert int(body.texture_faces.max()) == len(body.texture_coordinates) - 1
    assert body.texture_coordinates.min() >= 0
    assert body.texture_coordinates.max() <= 1


def test_a_missing_file_says_what_to_do(tmp_path) -> None:
    with pytest.raises(ValueError, match="SMPL_NEUTRAL") as raised:
        load_body(tmp_path / "SMPL_NEUTRAL.pkl")
    assert str(tmp_path) in str(raised.value)
    assert "smpl.is.tue.mpg.de" in str(raised.value)
    assert "body: open" in str(raised.value)
