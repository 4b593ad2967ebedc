"""Pictures of a clip show bodies where they project, and say who was not found."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from models.body import BodyModel, load_body
from models.geometry import project
from preprocessing.preview import PICTURE_WIDTH_PX, draw_sheet
from preprocessing.sample import Sample
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
