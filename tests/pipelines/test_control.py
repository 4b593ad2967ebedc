"""What is measured of how far conditions are heeded."""

import json

import pytest
import torch
from PIL import Image

from datamodules.clips import to_pixels
from datamodules.latent_files import LatentInfo
from pipelines.control import Findings, _truth, colour_distances, control, psnr_where
from tests.shard_factory import make_sample, write_shards


def test_every_figure_of_clips_of_two_people(people_shards, people_latents, make_dit, vae_checkpoint, tmp_path):
    control(
        str(people_latents), str(people_shards), str(tmp_path / "out"), checkpoint=str(make_dit()),
        vae=str(vae_checkpoint), batch_size=2, steps=2,
    )  # fmt: skip
    found = json.loads((tmp_path / "out" / "control.json").read_text())
    assert {"motion_gain", "camera_gain", "background_gain", "people_gain"} <= found.keys()
    assert found["camera_own_psnr"]["clips"] == 4
    assert found["people_own_distance"]["clips"] == 8
    assert found["people_gain"]["mean"] == pytest.approx(
        found["people_other_distance"]["mean"] - found["people_own_distance"]["mean"]
    )
    picture = Image.open(tmp_path / "out" / "control.png")
    assert picture.size == (1160, 695)  # four clips, seven rows


def test_the_truth_begins_where_the_latents_do(tmp_path):
    sample = make_sample(0)
    shards = str(write_shards(tmp_path / "s", [("test", sample)]))
    info = LatentInfo("0" * 64, "tiny", [0.0], 1.0, num_frames=5, image_size=(48, 64), start=4)
    clip = _truth(shards, "test", info, max_people=1)[sample.key]
    off = [(clip.video - to_pixels(sample.video[start : start + 5])).abs().mean() for start in (4, 3)]
    assert off[0] < 0.5 * off[1]  # as H.264 keeps it
    assert torch.equal(clip.masks[0], torch.from_numpy(sample.masks[:, 4:]))


def test_colours_of_people_who_swapped_clothes_are_nearer_to_the_others():
    masks = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    masks[0, :, :, :2], masks[1, :, :, 2:] = True, True
    true = torch.zeros(3, 1, 4, 4)
    true[0, :, :, :2], true[1, :, :, 2:] = 1, 1
    for made, near in ((true, 0.0), (true.flip(-1), 1.0)):
        for own, other in colour_distances(made, true, masks):
            assert own == pytest.approx(near * (2 / 3) ** 0.5)
            assert other == pytest.approx((1 - near) * (2 / 3) ** 0.5)
    assert not list(colour_distances(true, true, masks[:1]))


def test_psnr_of_a_part_is_that_of_its_pixels():
    video, target, where = torch.zeros(3, 2, 4, 4), torch.zeros(3, 2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool)
    target[:, 0, :2] = 0.2
    target[:, 1] = 9
    where[0, :2] = True
    assert psnr_where(video, target, where) == pytest.approx(20.0, abs=1e-4)


def test_a_gain_is_taken_clip_by_clip():
    found = Findings()
    for own, other in ((3.0, 2.0), (7.0, 6.0), (1.0, 0.0)):
        found.add("camera_own_psnr", own)
        found.add("camera_other_psnr", other)
    gain = found.summary()["camera_gain"]
    assert gain["mean"] == gain["low"] == gain["high"] == 1.0
