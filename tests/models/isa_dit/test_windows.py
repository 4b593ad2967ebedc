"""Long clips from windows: every latent is told of, and windows of one clip draw the same one."""

from dataclasses import replace

import pytest
import torch

from models.isa_dit.sampling import sample
from models.isa_dit.windows import Windows, blended, latents_of, window_of
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


def test_a_window_is_told_of_the_first_frame_and_then_of_its_own(make_conditions):
    given = longer(make_conditions(2), 9)
    window = window_of(given, 3, 4)
    frames = [0, *range(13, 25)]
    assert latents_of(3, 4).tolist() == [0, 4, 5, 6]
    torch.testing.assert_close(window.background_latents, given.background_latents[:, :, [0, 4, 5, 6]])
    torch.testing.assert_close(window.body.points, given.body.points[:, :, frames])
    torch.testing.assert_close(window.body.world_to_camera, given.body.world_to_camera[:, frames])
    assert window.body.points.shape[2] == num_frames(4)
    first = window_of(given, 0, 4)
    torch.testing.assert_close(first.body.points, given.body.points[:, :, :13])


def test_windows_see_the_first_latent_of_the_clip_in_the_place_of_their_own():
    seen = {}

    def flow_of(start):
        def v(x_t, t):
            seen[start] = x_t[0, 0, :, 0, 0].tolist()
            return x_t

        return v

    x = torch.arange(6.0)[None, None, :, None, None]
    blended(flow_of, Windows(3, 2), 6)(x, torch.ones(1))
    assert seen == {0: [0, 1, 2], 1: [0, 2, 3], 2: [0, 3, 4], 3: [0, 4, 5]}


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
