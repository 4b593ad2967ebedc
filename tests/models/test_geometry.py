"""The camera convention, in closed form."""

import math

import torch

from models import geometry as g

INTRINSICS = torch.tensor([[50.0, 0, 32], [0, 60, 24], [0, 0, 1]])


def orbit(frames: int) -> torch.Tensor:
    """Cameras that turn about y and move."""
    transforms = []
    for i in range(frames):
        a = 0.2 * i
        rotation = torch.tensor([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
        transform = torch.eye(4)
        transform[:3, :3], transform[:3, 3] = rotation, torch.tensor([0.1 * i, -0.2, 1.0 * i])
        transforms.append(transform)
    return torch.stack(transforms)[None]


def test_a_point_on_the_axis_lands_on_the_principal_point():
    pixels, depth = g.project(torch.tensor([[0.0, 0, 5]]), INTRINSICS, torch.eye(4))
    torch.testing.assert_close(pixels, torch.tensor([[32.0, 24]]))
    torch.testing.assert_close(depth, torch.tensor([5.0]))


def test_x_is_right_and_y_is_down():
    pixels, _ = g.project(torch.tensor([[1.0, 2, 10]]), INTRINSICS, torch.eye(4))
    torch.testing.assert_close(pixels, torch.tensor([[32 + 5.0, 24 + 12.0]]))


def test_points_behind_the_camera_keep_their_sign_and_stay_finite():
    pixels, depth = g.project(torch.tensor([[1.0, 1, -2]]), INTRINSICS, torch.eye(4))
    assert depth.item() == -2
    assert torch.isfinite(pixels).all()


def test_resizing_and_cropping_move_pixels_as_they_move_points():
    points = torch.randn(20, 3) * 0.3 + torch.tensor([0, 0, 3.0])
    before, _ = g.project(points, INTRINSICS, torch.eye(4))
    resized, _ = g.project(points, g.scale_intrinsics(INTRINSICS, 0.5, 2.0), torch.eye(4))
    torch.testing.assert_close(resized, before * torch.tensor([0.5, 2.0]))
    cropped, _ = g.project(points, g.crop_intrinsics(INTRINSICS, 3.0, -4.0), torch.eye(4))
    torch.testing.assert_close(cropped, before - torch.tensor([3.0, -4.0]))


def test_inverse_of_a_rigid_transform():
    transform = orbit(4)
    torch.testing.assert_close(
        g.invert_rigid(transform) @ transform, torch.eye(4).expand(1, 4, 4, 4), atol=1e-5, rtol=0
    )


def test_plucker_rays_pass_through_the_points_they_see():
    """A point X on the ray (o × d, d) satisfies X × d = o × d; X in the axes of the first camera."""
    frames, size = 3, (48, 64)
    world_to_camera = orbit(frames)
    intrinsics = INTRINSICS.expand(1, frames, 3, 3)
    rays = g.plucker_rays(intrinsics, world_to_camera, size)
    row, column, depth = 10, 40, 4.0
    pixel = torch.tensor([column + 0.5, row + 0.5, 1.0])
    for frame in range(frames):
        in_camera = torch.linalg.inv(INTRINSICS) @ pixel * depth
        world = g.invert_rigid(world_to_camera[:, frame])[0] @ torch.cat([in_camera, torch.ones(1)])
        in_first = (world_to_camera[0, 0] @ world)[:3]
        moment, direction = rays[0, frame, :3, row, column], rays[0, frame, 3:, row, column]
        torch.testing.assert_close(torch.linalg.cross(in_first, direction), moment, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(direction.norm(), torch.tensor(1.0))


def test_ndc_fills_the_image_and_centres_on_the_median_depth():
    depth = torch.tensor([2.0, 3, 4, 5, 100])
    points = torch.stack([torch.zeros(5), torch.zeros(5), depth], dim=-1)[None, None]
    valid = torch.tensor([True, True, True, True, False])[None, None]
    ndc = g.points_to_ndc(points, valid, INTRINSICS[None, None], torch.eye(4)[None, None], (48, 64))
    torch.testing.assert_close(ndc[0, 0, :, :2], torch.zeros(5, 2))
    torch.testing.assert_close(ndc[0, 0, :4, 2], (depth[:4] - 3) / 3.0)  # median 3 of four, furthest 2 m, planes 3 m
    corners = g.pixels_to_ndc(2, 4)
    torch.testing.assert_close(corners[0, 0], torch.tensor([-0.75, -0.5, 0]))
    torch.testing.assert_close(corners[1, 3], torch.tensor([0.75, 0.5, 0]))


def test_a_clip_without_bodies_still_has_planes():
    median, half = g.depth_planes(torch.full((1, 2, 3), 7.0), torch.zeros(1, 2, 3, dtype=torch.bool))
    assert (median.item(), half.item()) == (1, 1)


def test_autocast_leaves_geometry_exact():
    """Two points 1 cm apart, 40 m away: bfloat16 could not tell them from each other."""
    points = torch.tensor([[0.0, 0, 40], [0, 0, 40.01]])
    with torch.autocast("cpu", torch.bfloat16):
        _, depth = g.project(points, INTRINSICS, torch.eye(4))
    torch.testing.assert_close(depth, torch.tensor([40.0, 40.01]), atol=1e-4, rtol=0)
