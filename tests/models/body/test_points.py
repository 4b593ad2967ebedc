"""Surface points: on the surface, evenly spread, the same every time."""

import pytest
import torch

from models.body import SurfacePoints


def _areas(body):
    a, b, c = body.rest_vertices[body.faces].unbind(dim=1)
    return torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2


@pytest.mark.parametrize("batch", [(), (2,), (2, 2)])
def test_points_follow_the_posed_triangles(body, random_parameters, batch) -> None:
    points = SurfacePoints(body, num_points=64)
    parameters = random_parameters(*batch)
    triangles = body(*parameters).vertices[..., body.faces[points.face], :]
    expected = torch.einsum("nk,...nkc->...nc", points.barycentric, triangles)
    torch.testing.assert_close(points(*parameters), expected, atol=1e-5, rtol=0)


def test_barycentric_weights_lie_in_the_triangle_and_are_even(body) -> None:
    weights = SurfacePoints(body, num_points=20_000).barycentric
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(20_000))
    # Uniform in a triangle is Dirichlet(1, 1, 1): each weight has mean 1/3 and variance 1/18.
    torch.testing.assert_close(weights.mean(dim=0), torch.full((3,), 1 / 3), atol=0.01, rtol=0)
    torch.testing.assert_close(weights.var(dim=0), torch.full((3,), 1 / 18), atol=0.002, rtol=0)


def test_every_part_gets_its_share_of_the_area(body) -> None:
    points = SurfacePoints(body, num_points=4000)
    areas = _areas(body)
    region = body.vertex_part[body.faces].mode(dim=1).values
    share = torch.zeros(24).index_add_(0, region, areas) / areas.sum()
    got = torch.bincount(region[points.face], minlength=24) / 4000
    deviation = (share * (1 - share) / 4000).sqrt()
    assert ((got - share).abs() < 4 * deviation).all()


def test_rest_points_are_those_of_the_zero_pose(body) -> None:
    points = SurfacePoints(body, num_points=50)
    betas = torch.randn(3, 10)
    at_zero = points(betas, torch.zeros(3, 24, 3), torch.zeros(3, 3))
    torch.testing.assert_close(points.rest(betas), at_zero, atol=1e-5, rtol=0)


def test_the_seed_alone_decides(body) -> None:
    first = SurfacePoints(body, num_points=100, seed=3)
    torch.manual_seed(99)
    again, other = SurfacePoints(body, num_points=100, seed=3), SurfacePoints(body, num_points=100, seed=4)
    assert torch.equal(first.face, again.face)
    assert torch.equal(first.barycentric, again.barycentric)
    assert not torch.equal(first.face, other.face)


def test_part_names_the_joint_that_moves_the_point(body) -> None:
    points = SurfacePoints(body, num_points=500)
    weights = torch.einsum("nk,nkj->nj", points.barycentric, body._skinning[body.faces[points.face]])
    assert (weights.argmax(dim=1) == points.part).float().mean() > 0.95
    left_hand = points.rest(torch.zeros(10))[points.part == body.joint_names.index("left_hand")]
    assert len(left_hand) > 0
    assert (left_hand[:, 0] > 0.6).all()


def test_no_points_is_an_error(body) -> None:
    with pytest.raises(ValueError, match="num_points is 0"):
        SurfacePoints(body, num_points=0)
