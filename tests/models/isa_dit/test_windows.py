"""Long clips from windows: every latent is told of, and windows of one clip draw the same one."""

from dataclasses import replace

import pytest
import torch

from models.isa_dit.sampling import sample
from models.isa_dit.windows import Windows, blended, window_of
from models.timeline import num_frames


def longer(given, latents: int):
    """Conditions of a clip of so many latents: the short one's bodies, played on and on."""
    frames = torch.arange(num_frames(latents)) % given.body.points.shape[2]
    body = replace(
        given.body,
        points=given.body.points[:, :, frames],
        intrinsics=given.body.intrinsics[:, frames],
        world_to_camera=given.body.world_to_camera[:, frames],
    )
    torch.manual_seed(4)
    return replace(given, body=body, background_latents=torch.randn(2, 16, latents, 4, 4))


@pytest.mark.parametrize("latents", range(1, 60))
@pytest.mark.parametrize(("length", "overlap"), [(3, 2), (7, 2), (7, 3), (25, 8)])
def test_windows_cover_a_clip_and_each_overlaps_the_last(latents, length, overlap):
    windows = Windows(length, overlap)
    starts = windows.starts(latents)
    assert starts[0] == 0
    assert starts[-1] + length == latents or (starts == [0] and latents <= length)
    assert all(overlap <= a + length - b < length for a, b in zip(starts, starts[1:], strict=False))
    weight = torch.zeros(latents)
    for start in starts:
        counts = windows.weights(start, latents)
        assert counts[0] == (0 if start else 1)  # a window takes its first latent for a single frame
        weight[start : start + length] += counts
    assert weight.min() > 0


def test_a_flow_that_all_windows_agree_on_is_that_flow():
    x = torch.randn(2, 4, 17, 3, 3)
    v = blended(lambda start: lambda x_t, t: 2 * x_t, Windows(5, 2), 17)
    torch.testing.assert_close(v(x, torch.ones(2)), 2 * x)


def test_a_clip_that_fits_into_one_window_is_sampled_as_without(tiny, make_conditions):
    given = make_conditions(1)
    plain = sample(tiny, given, steps=3)
    assert torch.equal(plain, sample(tiny, given, steps=3, windows=Windows(3, 2)))
    assert torch.equal(plain, sample(tiny, given, steps=3, windows=Windows(9, 4)))


def test_a_window_is_told_what_a_clip_of_its_frames_is(make_conditions):
    given = longer(make_conditions(2), 9)
    window = window_of(given, 3, 4)
    assert window.background_latents.shape[2] == 4
    assert window.body.points.shape[2] == num_frames(4)
    torch.testing.assert_close(window.body.points, given.body.points[:, :, 12:25])


def test_a_long_clip_is_sampled_by_windows(tiny, make_conditions):
    """And a latent depends on the motion in windows that count it, not on that far away."""
    given = longer(make_conditions(1), 12)
    windows = Windows(4, 2)
    first = sample(tiny, given, steps=1, windows=windows)
    points = given.body.points.clone()
    points[:, :, 40:] += 0.5
    other = sample(tiny, replace(given, body=replace(given.body, points=points)), steps=1, windows=windows)
    changed = (first - other).abs().amax(dim=(0, 1, 3, 4))
    assert first.isfinite().all()
    assert changed[:8].max() == 0
    assert changed[10:].min() > 1e-4


@pytest.mark.parametrize(("length", "overlap"), [(4, 1), (4, 4), (2, 3)])
def test_windows_that_cannot_be_blended_are_refused(length, overlap):
    with pytest.raises(ValueError, match="at least 2"):
        Windows(length, overlap)
