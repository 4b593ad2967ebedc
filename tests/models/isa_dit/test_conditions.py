"""Body tokens, identity and camera, each against what the geometry says."""

from dataclasses import replace

import torch
from einops import rearrange

from models.batch import BodyBatch, ReferenceBatch
from models.geometry import invert_rigid, plucker_rays
from models.isa_dit.body_tokens import global_points, ndc_points, point_mask
from models.isa_dit.camera import CameraTokens
from models.isa_dit.identity import ReferenceOnBody, visible_points


def moved_world(body: BodyBatch) -> BodyBatch:
    """The same scene written in another world frame: turned a quarter and pushed away."""
    transform = torch.tensor([[0.0, 0, 1, 5], [0, 1, 0, -2], [-1, 0, 0, 3], [0, 0, 0, 1]])
    points = body.points @ transform[:3, :3].T + transform[:3, 3]
    return replace(body, points=points, world_to_camera=body.world_to_camera @ invert_rigid(transform))


def test_the_choice_of_world_frame_does_not_matter(make_conditions):
    body = make_conditions(2).body
    moved = moved_world(body)
    torch.testing.assert_close(global_points(moved), global_points(body), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ndc_points(moved), ndc_points(body), atol=1e-4, rtol=1e-4)


def test_global_points_keep_distances(make_conditions):
    body = make_conditions(1).body
    torch.testing.assert_close(
        torch.cdist(global_points(body)[0, 3], global_points(body)[0, 3]),
        torch.cdist(body.points[0, 0, 3], body.points[0, 0, 3]),
        atol=1e-5,
        rtol=1e-4,
    )


def test_padding_moves_neither_the_centre_nor_the_planes(make_conditions):
    body = make_conditions(2).body
    padded = replace(body, person_mask=torch.tensor([[True, False]] * 2))
    far = padded.points.clone()
    far[:, 1] += 50
    with_far = replace(padded, points=far)
    keep = point_mask(padded)[0]
    for of in (global_points, ndc_points):
        torch.testing.assert_close(of(padded)[:, :, keep], of(with_far)[:, :, keep])


def test_a_point_behind_another_is_hidden_and_outside_is_not_seen():
    pixels = torch.tensor([[[4.0, 4], [5, 5], [5, 5.5], [20, 4], [-3, 4]]])
    depth = torch.tensor([[2.0, 2.05, 2.5, 9, 1]])
    exists = torch.ones(1, 5, dtype=torch.bool)
    seen = visible_points(pixels, depth, exists, (32, 32), (4, 4))
    assert seen.tolist() == [[True, True, False, True, False]]


def test_padded_points_hide_nothing():
    pixels, depth = torch.full((1, 2, 2), 4.0), torch.tensor([[1.0, 3.0]])
    seen = visible_points(pixels, depth, torch.tensor([[False, True]]), (32, 32), (4, 4))
    assert seen.tolist() == [[False, True]]


def test_who_stands_in_front_hides_others_also_where_nobody_looks_them_up(make_conditions):
    """Person 0 is behind person 1 in both pictures; each is looked up in a picture of their own."""
    reference = make_conditions(people=2, pictures=2).reference
    points = reference.body.points.clone()
    points[:, 1] = points[:, 0] * 0.7  # on the same lines of sight from a camera at the origin, a metre nearer
    still = torch.eye(4).expand(reference.body.world_to_camera.shape)
    reference = replace(reference, body=replace(reference.body, points=points, world_to_camera=still))
    on_body = ReferenceOnBody(16, 8)
    nothing = on_body.project.bias
    behind, before = on_body(reference).chunk(2, dim=1)
    hidden = (behind == nothing).all(dim=-1).float().mean()
    assert hidden > 0.8
    assert (before == nothing).all(dim=-1).float().mean() < 0.5
    alone = replace(reference, body=replace(reference.body, person_mask=torch.tensor([[True, False]] * 2)))
    assert (on_body(alone)[:, : behind.shape[1]] == nothing).all(dim=-1).float().mean() < 0.5


def test_reference_features_are_those_of_the_pixel_behind_each_point():
    """Latents that hold their own pixel coordinates: what a point samples is where it projects (Eq. 19)."""
    side, focal = 4, 40.0
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    latents = torch.zeros(1, 16, side, side)
    latents[0, 0], latents[0, 1] = x, y
    pixels = torch.tensor([[10.0, 6.0], [20.0, 25.0]])
    points = torch.cat([(pixels - 16) / focal * 2, torch.full((2, 1), 2.0)], dim=-1)
    body = BodyBatch(
        points=points[None, None, None],
        rest_points=points[None, None],
        person_mask=torch.ones(1, 1, dtype=torch.bool),
        intrinsics=torch.tensor([[focal, 0, 16], [0, focal, 16], [0, 0, 1]])[None, None],
        world_to_camera=torch.eye(4)[None, None],
        image_size=(32, 32),
    )
    on_body = ReferenceOnBody(16, 17)
    with torch.no_grad():
        on_body.project.weight.copy_(torch.eye(17))
        on_body.project.bias.zero_()
        sampled = on_body(ReferenceBatch(latents[None], torch.zeros(1, 1, 1, 64), body, torch.ones(1, 1, 1) > 0))[0]
    torch.testing.assert_close(sampled[:, :2], pixels / 8, atol=1e-5, rtol=0)
    torch.testing.assert_close(sampled[:, 16], torch.ones(2))


def test_camera_tokens_hold_the_rays_of_their_own_pixels(make_conditions):
    """Eq. 22 with the projection taken away: token (j, i) is the concatenated Plücker images of its 8×8 pixels."""
    body = make_conditions(1).body
    tokens = CameraTokens(4 * 6 * 64, patch_size=1)
    with torch.no_grad():
        tokens.project.weight.copy_(torch.eye(4 * 6 * 64))
        tokens.project.bias.zero_()
        got = tokens(body)
    rays = plucker_rays(body.intrinsics, body.world_to_camera, body.image_size)
    latent, row, column = 2, 1, 3
    expected = rays[:, 5:9, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    torch.testing.assert_close(got[:, latent, 4 * row + column], rearrange(expected, "B k r p q -> B (k r p q)"))
