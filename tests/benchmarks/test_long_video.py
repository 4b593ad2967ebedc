"""The measure of seams gives what is known of clips with known jumps."""

import numpy as np
import pytest
import torch

from benchmarks.long_video_picture import Shown, worst_seams
from benchmarks.long_video_report import AUTOENCODER, BLENDED, ROWS, WHOLE, summarise
from benchmarks.seams import (
    frame_ratio,
    frame_steps,
    into_latents,
    joins,
    latent_ratio,
    latent_steps,
    one_after_another,
    psnr_by_window,
    seam_ratio,
    side_by_side_starts,
)
from models.isa_dit.windows import Windows
from models.timeline import num_frames

LATENTS = 9
SEAMS = [3, 5, 7]


def climbing(steps: np.ndarray) -> np.ndarray:
    """A grey clip that gets brighter by so many levels from frame to frame."""
    levels = np.concatenate([[0], np.cumsum(steps)]).astype(np.uint8)
    return np.tile(levels[:, None, None, None], (1, 4, 6, 3))


def stepping(at_seams: int, into_others: int, within: int) -> np.ndarray:
    steps = np.full(num_frames(LATENTS) - 1, within)
    steps[into_latents(range(2, LATENTS))] = into_others
    steps[into_latents(SEAMS)] = at_seams
    return climbing(steps)


def test_windows_join_where_one_begins_or_ends_to_count():
    assert joins(Windows(3, 2).starts(6), 3) == [2, 3, 4, 5]
    assert joins(Windows(5, 2).starts(11), 5) == [4, 5, 7, 8]
    assert joins(Windows(9, 2).starts(6), 9) == []
    assert side_by_side_starts(3, LATENTS) == [0, 2, 4, 6]
    assert side_by_side_starts(4, 6) == [0, 3]
    assert side_by_side_starts(3, 1) == [0]
    assert joins(side_by_side_starts(3, LATENTS), 3) == SEAMS


def test_windows_side_by_side_are_all_latents_in_order():
    whole = torch.randn(1, 2, LATENTS, 3, 3)
    for length in (3, 4, 9):
        parts = [whole[:, :, start : start + length] for start in side_by_side_starts(length, LATENTS)]
        assert torch.equal(one_after_another(parts), whole)


def test_a_jump_of_known_size_gives_its_ratio():
    assert frame_steps(stepping(15, 3, 2)).tolist()[:9] == [2, 2, 2, 2, 3, 2, 2, 2, 15]
    assert frame_ratio(frame_steps(stepping(15, 3, 2)), SEAMS) == pytest.approx(5)
    assert frame_ratio(frame_steps(stepping(4, 4, 2)), SEAMS) == pytest.approx(
        1
    )  # the pulse of every latent is no seam
    assert frame_ratio(frame_steps(stepping(5, 5, 2)), list(range(2, LATENTS))) == pytest.approx(2.5)


def test_a_jump_between_latents_gives_its_ratio():
    steps = np.ones(LATENTS - 1)
    steps[np.array(SEAMS) - 1] = 3
    latents = torch.tensor(np.concatenate([[0], np.cumsum(steps)]))[None, None, :, None, None].float()
    assert latent_steps(latents.expand(1, 4, -1, 2, 2)).tolist() == steps.tolist()
    assert latent_ratio(steps, SEAMS) == pytest.approx(3)


def test_without_seams_or_motion_there_is_no_ratio():
    with pytest.raises(ValueError, match="0 seams"):
        frame_ratio(np.ones(16), [])
    with pytest.raises(ValueError, match="nothing moves"):
        seam_ratio(np.array([1.0, 0.0]), np.array([0]), np.array([1]))


def test_psnr_by_window_counts_the_pixels_asked_for():
    true = np.full((10, 4, 4, 3), 100, np.uint8)
    made, where = true.copy(), np.zeros((10, 4, 4), bool)
    made[1:9, :2] += 51  # a fifth of the range in half of the pixels
    where[1:9, :2] = True
    np.testing.assert_allclose(psnr_by_window(made, true, 8), [10 * np.log10(50), np.inf])
    np.testing.assert_allclose(psnr_by_window(made, true, 8, where), [10 * np.log10(25), np.nan])


def test_the_seams_shown_are_those_that_jump_most():
    quiet, jumps = np.ones(32, int), np.ones(32, int)
    jumps[into_latents(SEAMS)] = [3, 2, 5]
    shown = Shown({"one piece": climbing(quiet), "side by side": climbing(jumps)}, SEAMS)
    assert worst_seams(shown, 2) == [8, 24]


def test_clips_are_compared_one_by_one():
    def clip(factor: float, camera: str) -> dict:
        row = {
            "steps": [1.0] * 8,
            "at blended": 1.0,
            "in latents": 1.0,
            "psnr": [20.0, 20.0],
            "psnr person": [9.0, 9.0],
        }
        rows = {name: dict(row) for name in ROWS}
        rows[WHOLE]["at blended"], rows[BLENDED]["at blended"] = factor, 2 * factor
        rows[AUTOENCODER]["psnr"], rows[BLENDED]["psnr"] = [24.0, 25.0], [20.0, 20.0 if camera == "static" else 18.0]
        return {"camera": camera, "9": rows}

    found = summarise([clip(1.0, "static"), clip(3.0, "orbit")], [9])["9"][BLENDED]
    assert found["at blended"]["mean"] == pytest.approx(4)
    assert found["at blended over one piece"] == pytest.approx({"mean": 2, "low": 2, "high": 2, "clips": 2})
    assert found["psnr drift"]["mean"] == pytest.approx(-2)
    assert found["psnr drift, camera still"]["mean"] == pytest.approx(-1)
    assert found["psnr drift, camera moves"]["mean"] == pytest.approx(-3)
