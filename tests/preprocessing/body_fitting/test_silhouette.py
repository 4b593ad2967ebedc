"""Rasterisation against areas known in closed form, and the outline loss against distances known by construction."""

import numpy as np
import pytest
import torch

from preprocessing.body_fitting.silhouette import SilhouetteLoss, area_uniform_vertices, mask_iou, rasterise

NOBODY = np.zeros((1, 100, 100), bool)


def test_a_triangle_covers_the_pixels_whose_centre_it_holds() -> None:
    # x + y <= 4 from the origin: centres (i + ½, j + ½) with i + j <= 3.
    corners = np.array([[[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]])
    expected = np.add.outer(np.arange(6), np.arange(6)) <= 3
    np.testing.assert_array_equal(rasterise(corners, (6, 6)), expected)
    np.testing.assert_array_equal(rasterise(corners[:, ::-1], (6, 6)), expected, "either winding")


def test_a_disc_of_triangles_has_the_area_of_a_disc() -> None:
    radius, centre = 40.0, np.array([60.0, 52.0])
    angle = np.linspace(0, 2 * np.pi, 181)
    rim = centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    fan = np.stack([np.broadcast_to(centre, rim[1:].shape), rim[:-1], rim[1:]], axis=1)
    covered = rasterise(fan, (110, 120))
    assert covered.sum() == pytest.approx(np.pi * radius**2, rel=0.003)
    y, x = np.nonzero(covered)
    np.testing.assert_allclose([x.mean() + 0.5, y.mean() + 0.5], centre, atol=0.05)


def test_what_leaves_the_image_is_cut() -> None:
    corners = np.array([[[-5.0, -5.0], [100.0, -5.0], [-5.0, 100.0]], [[-9.0, -9.0], [-8.0, -9.0], [-9.0, -8.0]]])
    assert rasterise(corners, (10, 12)).all()
    assert not rasterise(corners[1:], (10, 12)).any()


def test_iou_of_shifted_squares() -> None:
    a, b = np.zeros((2, 10, 10), bool), np.zeros((2, 10, 10), bool)
    a[0, 2:6, 2:6] = b[0, 2:6, 4:8] = True
    np.testing.assert_allclose(mask_iou(a, b), [8 / 24, 0])


def test_spill_and_gap_are_distances_in_pixels() -> None:
    mask = np.zeros((1, 100, 100), bool)
    mask[0, 30:70, 30:70] = True
    loss = SilhouetteLoss(mask, NOBODY, contour_pixels=200, generator=np.random.default_rng(0))
    inside, left, above = [50.0, 50.0], [20.5, 50.0], [50.0, 10.5]
    spill, _ = loss(torch.tensor([[inside, left, above]]), torch.ones(1, 3), spacing_px=0.0)
    torch.testing.assert_close(spill, torch.tensor([[0.0, 10.0, 20.0]]))
    # A point in the middle is half a side away from the contour's nearest pixels and half a diagonal from its corners.
    _, gap = loss(torch.tensor([[inside]]), torch.ones(1, 1), spacing_px=2.0)
    assert gap.min() == pytest.approx(19.5 - 2, abs=0.1)
    assert gap.max() == pytest.approx(19.5 * 2**0.5 - 2, abs=1)


def test_behind_somebody_else_a_body_may_go_on_and_ends_nowhere() -> None:
    mask, others = NOBODY.copy(), NOBODY.copy()
    mask[0, 30:70, 30:50] = others[0, 30:70, 50:80] = True
    loss = SilhouetteLoss(mask, others, contour_pixels=400, generator=np.random.default_rng(0))
    behind, beyond, left = [70.5, 50.0], [90.5, 50.0], [20.5, 50.0]
    spill, _ = loss(torch.tensor([[behind, beyond, left]]), torch.ones(1, 3), spacing_px=0.0)
    torch.testing.assert_close(spill, torch.tensor([[0.0, 11.0, 10.0]]))
    assert loss.contours_px[..., 0].max() < 49, "where the other one begins is no outline"
    hidden = SilhouetteLoss(mask, ~mask, contour_pixels=9, generator=np.random.default_rng(0))
    assert hidden.contours_px.isfinite().all(), "surrounded, as good as the outline there is"


def test_large_masks_are_shrunk_but_distances_stay_in_their_pixels() -> None:
    mask = np.zeros((1, 512, 1024), bool)
    mask[0, :, :512] = True
    loss = SilhouetteLoss(mask, np.zeros_like(mask), contour_pixels=16, generator=np.random.default_rng(0))
    spill, _ = loss(torch.tensor([[[812.0, 256.0]]]), torch.ones(1, 1), spacing_px=0.0)
    assert float(spill) == pytest.approx(300, abs=4)


def test_distances_repeat_bit_for_bit() -> None:
    """Wherever in memory they happen to be computed: between the calls lie arrays of many sizes."""
    mask = np.zeros((1, 32, 64), bool)
    mask[0, 10:30, 20:40] = mask[0, 5:12, 28:33] = True
    first, keep = SilhouetteLoss(mask, np.zeros_like(mask), 8, np.random.default_rng(0)).outside_px, []
    for size in range(100, 9000, 100):
        keep.append(bytearray(size))
        assert torch.equal(SilhouetteLoss(mask, np.zeros_like(mask), 8, np.random.default_rng(0)).outside_px, first)


def test_frames_without_a_mask_pull_nowhere() -> None:
    mask = np.zeros((2, 32, 32), bool)
    mask[1, 8:20, 8:20] = True
    loss = SilhouetteLoss(mask, np.zeros_like(mask), contour_pixels=8, generator=np.random.default_rng(0))
    points = torch.full((2, 3, 2), 28.0, requires_grad=True)
    spill, gap = loss(points, torch.ones(2, 3), spacing_px=0.0)
    (gradient,) = torch.autograd.grad(spill.sum() + gap.sum(), points)
    assert not gradient[0].any()
    assert gradient[1].any()


def test_hidden_points_are_free() -> None:
    mask = np.zeros((1, 32, 32), bool)
    mask[0, 8:20, 8:20] = True
    loss = SilhouetteLoss(mask, np.zeros_like(mask), contour_pixels=8, generator=np.random.default_rng(0))
    points = torch.tensor([[[28.0, 28.0], [2.0, 2.0]]], requires_grad=True)
    spill, gap = loss(points, torch.tensor([[0.0, 1.0]]), spacing_px=0.0)
    (gradient,) = torch.autograd.grad(spill.sum() + gap.sum(), points)
    assert not gradient[0, 0].any()
    assert gradient[0, 1].any()


def test_vertices_are_spread_by_area() -> None:
    # A finely cut square metre beside a coarse one: as many vertices on either side.
    def grid(cells: int, left: float) -> tuple[torch.Tensor, torch.Tensor]:
        line = torch.linspace(0, 1, cells + 1)
        x, y = torch.meshgrid(line + left, line, indexing="ij")
        vertices = torch.stack([x, y, torch.zeros_like(x)], -1).reshape(-1, 3)
        corner = (torch.arange(cells)[:, None] * (cells + 1) + torch.arange(cells)).reshape(-1)
        lower = torch.stack([corner, corner + 1, corner + cells + 1], -1)
        upper = torch.stack([corner + 1, corner + cells + 2, corner + cells + 1], -1)
        return vertices, torch.cat([lower, upper])

    fine, fine_faces = grid(60, 0.0)
    coarse, coarse_faces = grid(30, 2.0)
    vertices = torch.cat([fine, coarse])
    faces = torch.cat([fine_faces, coarse_faces + len(fine)])
    chosen = area_uniform_vertices(vertices, faces, 100, torch.Generator().manual_seed(0))
    assert len(chosen) == len(chosen.unique())
    on_fine = (chosen < len(fine)).float().mean()
    assert float(on_fine) == pytest.approx(0.5, abs=0.12), "by count it would be 0.8"
