"""The preview shows each clip and each reject, needs no other file, and lets nobody's file name become markup."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.body import BodyModel, load_body
from models.geometry import project
from preprocessing.manifest import Reject
from preprocessing.preview import PICTURE_WIDTH_PX, Card, draw_sheet, write_preview
from preprocessing.sample import Sample
from preprocessing.stages.write_shards import pack_clip
from tests.shard_factory import make_sample


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="module")
def standing() -> Sample:
    """A person upright (y points down in the world, so turned by half a turn about x), 4 m away, on black."""
    sample = make_sample(0, num_frames=5, size=(96, 128))
    sample.video[:] = 0
    sample.bodies.pose[:] = 0
    sample.bodies.pose[..., 0, 0] = np.pi
    sample.bodies.translation[:] = (0.3, 0.0, 4.0)
    sample.bodies.valid[:, 4] = False
    return sample


def pictures(sheet: bytes, columns: int) -> np.ndarray:
    """Rows × columns × H × W × 3."""
    image = np.asarray(Image.open(io.BytesIO(sheet)))
    height = image.shape[0] // 2
    return image.reshape(2, height, columns, PICTURE_WIDTH_PX, 3).transpose(0, 2, 1, 3, 4)


def test_heads_are_painted_with_their_expression() -> None:
    sample = make_sample(0, num_frames=5, size=(96, 128), head=True)
    sample.bodies.translation[:] = (0.0, 0.0, 0.8)
    still = replace(sample, bodies=replace(sample.bodies, expression=None))
    head = load_body("open-head")
    assert draw_sheet(sample, head, columns=2) != draw_sheet(still, head, columns=2)


def test_bodies_are_painted_where_they_project(body: BodyModel, standing: Sample) -> None:
    painted = pictures(draw_sheet(standing, body, columns=2), 2)[1, 0].max(axis=-1) > 60
    bodies, cameras = standing.bodies, standing.cameras
    vertices = body(
        *(torch.from_numpy(v) for v in (bodies.betas, bodies.pose[:, 0], bodies.translation[:, 0]))
    ).vertices
    pixels, _ = project(
        vertices, torch.from_numpy(cameras.intrinsics[:1]), torch.from_numpy(cameras.world_to_camera[:1])
    )
    expected = pixels[0] * PICTURE_WIDTH_PX / standing.video.shape[2]
    y, x = np.nonzero(painted)
    for found, wanted in ((x, expected[:, 0]), (y, expected[:, 1])):
        assert found.min() + 0.5 == pytest.approx(wanted.min().item(), abs=2)
        assert found.max() + 0.5 == pytest.approx(wanted.max().item(), abs=2)


def test_a_person_who_was_not_found_is_framed_in_red(body: BodyModel, standing: Sample) -> None:
    sheet = pictures(draw_sheet(standing, body, columns=2), 2)
    red, green = sheet[..., 1, :, 0].mean(axis=-1), sheet[..., 1, :, 1].mean(axis=-1)
    assert (red[:, 1] > 150).all()
    assert (green[:, 1] < 100).all()
    assert (red[:, 0] < 20).all()


def test_the_page_is_self_contained_and_escapes(body: BodyModel, standing: Sample, tmp_path: Path) -> None:
    row = replace(pack_clip(standing, "<b>.mp4", 0, "val").row, shard="val-000000.tar")
    rejects = [Reject("<script>alert(1)</script>", "track_people", "no person", {"found_share": 0.25}, 0, 65)]
    write_preview(tmp_path, [Card(row, {"mask_iou": 0.5}, draw_sheet(standing, body))], rejects, num_clips=3)
    page = (tmp_path / "preview.html").read_text()
    assert "3 clips, the first 1 shown · 1 rejected (1 by track_people)" in page
    assert "<script" not in page
    assert "&lt;b&gt;.mp4" in page
    assert "no person" in page
    assert "src=" in page
    assert page.count("src=") == page.count('src="data:image/jpeg;base64,')
    assert "http" not in page
