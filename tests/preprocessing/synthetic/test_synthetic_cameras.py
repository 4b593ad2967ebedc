import numpy as np
import pytest
import torch

from models.geometry import invert_rigid, pixel_centres, project
from preprocessing.rendering.rays import directions, eyes
from preprocessing.synthetic.scene.cameras import MOVES, look_at, place, sample_shot

SIZE = (48, 64)


def walker(num_frames: int = 9) -> np.ndarray:
    """A box of a person's size that walks two metres."""
    corners = np.stack(np.meshgrid([-0.3, 0.3], [0, 1.7], [-0.2, 0.2]), axis=-1).reshape(-1, 3)
    path = np.linspace(0, 1, num_frames)[:, None] * np.array([2.0, 0, 0.5])
    return (corners[None] + path[:, None]).astype(np.float32)


def test_look_at_centres_the_target_and_keeps_the_horizon_level() -> None:
    eye, target = np.array([[3.0, 2.0, 1.0]]), np.array([[0.5, 1.0, -1.0]])
    matrix = torch.tensor(look_at(eye, target))
    intrinsics = torch.tensor([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]], dtype=torch.float64)[None]
    pixels, depth = project(torch.tensor(np.stack([target, target + np.array([0, 0.1, 0])], 1)), intrinsics, matrix)
    np.testing.assert_allclose(pixels[0, 0], [32, 24], atol=1e-9)
    assert pixels[0, 1, 1] < 24  # up in the world is up in the picture
    assert pixels[0, 1, 0] == pytest.approx(32)
    assert depth[0, 0] == pytest.approx(np.linalg.norm(eye - target))
    assert torch.linalg.det(matrix[0, :3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(invert_rigid(matrix)[0, :3, 3], eye[0], atol=1e-9)


@pytest.mark.parametrize("kind", ["static", *MOVES])
def test_the_body_fills_its_share_and_stays_in_the_picture(kind: str) -> None:
    vertices = walker()
    for seed in range(5):
        shot = sample_shot(np.random.default_rng(seed), vertices, 8.0, kind, SIZE[0], (0.0, 3.0))
        cameras = place(shot, vertices, SIZE, share=0.75)
        pixels, depth = project(*map(torch.as_tensor, (vertices, cameras.intrinsics, cameras.world_to_camera)))
        assert depth.min() > 0
        assert (pixels > 0).all()
        assert (pixels < torch.tensor([SIZE[1], SIZE[0]])).all()
        height = (pixels[..., 1].amax(1) - pixels[..., 1].amin(1)).max() / SIZE[0]
        outermost = (2 * pixels / torch.tensor([SIZE[1], SIZE[0]]) - 1).abs().max()
        assert height == pytest.approx(0.75, abs=0.01) or (height < 0.75 and outermost > 0.9)
        assert eyes(cameras)[:, 1].min() > 0.2  # above the ground
        moves = np.ptp(cameras.world_to_camera, axis=0).max()
        assert (moves == 0) == (kind == "static")


def test_a_share_out_of_range_is_refused() -> None:
    shot = sample_shot(np.random.default_rng(0), walker(), 8.0, "static", 48, (0.0, 3.0))
    with pytest.raises(ValueError, match=r"1\.5"):
        place(shot, walker(), SIZE, share=1.5)


def test_people_who_travel_too_far_for_one_picture_are_said_to() -> None:
    vertices = walker()
    vertices[..., 0] += np.linspace(0, 2000, len(vertices), dtype=np.float32)[:, None]
    shot = sample_shot(np.random.default_rng(0), vertices, 8.0, "static", 48, (0.0, 3.0))
    with pytest.raises(ValueError, match="2002 m"):
        place(shot, vertices, SIZE, share=0.7)


def test_directions_undo_projection() -> None:
    vertices = walker(3)
    cameras = place(
        sample_shot(np.random.default_rng(3), vertices, 8.0, "orbit", 48, (0.0, 3.0)), vertices, SIZE, share=0.7
    )
    for frame in range(3):
        rays = directions(cameras, frame, SIZE, supersample=1)
        np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-6)
        ahead = torch.as_tensor(eyes(cameras)[frame] + 7 * rays)
        pixels, _ = project(ahead, *(torch.as_tensor(m[frame]) for m in (cameras.intrinsics, cameras.world_to_camera)))
        np.testing.assert_allclose(pixels, pixel_centres(*SIZE).reshape(-1, 2), atol=2e-3)
        fine = directions(cameras, frame, SIZE, supersample=2).reshape(4, -1, 3)
        np.testing.assert_allclose(fine.mean(axis=0), rays, atol=1e-4)
        assert (np.ptp(fine, axis=0).max(axis=1) > 1e-4).all()  # four parts of one pixel, not four pixels' first
