import pytest
import torch

from models import timeline


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (17, 5), (33, 9), (97, 25)])
def test_frames_and_latents_match(frames, latents):
    assert timeline.num_latents(frames) == latents
    assert timeline.num_frames(latents) == frames


@pytest.mark.parametrize("frames", [0, 2, 16, 98])
def test_other_lengths_are_refused_with_the_nearest_that_fit(frames):
    with pytest.raises(ValueError, match="multiple of 4"):
        timeline.num_latents(frames)


def test_groups_hold_the_frames_of_their_latent():
    groups = timeline.group_by_latent(torch.arange(9.0)[None])
    assert groups.tolist() == [[[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]]
    assert timeline.ungroup(groups).tolist() == [list(range(9))]


def test_places_follow_the_groups():
    assert timeline.place_in_latent(9).tolist() == [0, 1, 2, 3, 4, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="multiple of 4"):
        timeline.place_in_latent(8)
