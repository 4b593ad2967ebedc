"""Painted heads: colours where features are, skin where the head model has it, teeth behind the lips."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.body import HEAD_JOINT_NAMES, HeadModel, SurfacePoints, load_body
from preprocessing.rendering.tracer import Meshes, Tracer
from preprocessing.synthetic.people.head import HeadPaint, paint_head
from preprocessing.synthetic.people.head_looks import BEARDS, HAIR_STYLES, NECKLINES, Looks, sample_looks
from preprocessing.synthetic.people.head_shape import cover_m, measure_head

BARE = {"style": "bald", "beard": "none", "blush": 0.0}


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_body("open-head")


@pytest.fixture
def looks() -> Looks:
    plain = replace(sample_looks(np.random.default_rng(0)), **BARE)
    return replace(plain, skin=np.float32([0.9, 0.7, 0.6]), lips=np.float32([0.7, 0.2, 0.2]))


def posed(head: HeadModel, betas: torch.Tensor | None = None, jaw: float = 0.0, **expression: float) -> np.ndarray:
    pose, face = torch.zeros(1, 5, 3), torch.zeros(1, len(head.expression_names))
    pose[0, HEAD_JOINT_NAMES.index("jaw"), 0] = jaw
    for name, strength in expression.items():
        face[0, head.expression_names.index(name)] = strength
    shape = torch.zeros(1, 10) if betas is None else betas[None]
    return head(shape, pose, torch.zeros(1, 3), face).vertices.numpy()


def seen_from_front(head: HeadModel, vertices: np.ndarray, looks: Looks, at: list[tuple[float, float]]) -> np.ndarray:
    """Colours where rays along -z meet the figure."""
    figure = paint_head(head, vertices, looks)
    tracer = Tracer(Meshes([figure.faces], [figure.vertices.shape[1]]), figure.vertices[0])
    colours = []
    for x, y in at:
        hits = tracer.trace(np.array([x, y, 1.0], np.float32), np.array([[0.0, 0.0, -1.0]], np.float32))
        colours.append(figure.paint(hits.corners, hits.barycentric)[0])
    return np.stack(colours)


def test_features_have_their_colours(head, looks) -> None:
    eye_x, eye_y, _ = measure_head(head).left_eye
    pupil, white, lip, cheek, forehead = seen_from_front(
        head, posed(head), looks,
        [(eye_x - 0.0005, eye_y - 0.0005), (eye_x + 0.0085, eye_y - 0.001), (0.004, 0.064), (0.04, 0.09), (0, 0.2)],
    )  # fmt: skip
    assert pupil.max() < 0.1
    assert white.min() > 0.7
    np.testing.assert_allclose(lip, looks.lips, atol=0.1)
    for skin in (cheek, forehead):
        np.testing.assert_allclose(skin, looks.skin, atol=0.06)


def test_a_blink_hides_the_eye_and_a_turned_eye_carries_its_pupil(head, looks) -> None:
    eye_x, eye_y, _ = measure_head(head).left_eye
    middle = [(float(eye_x), float(eye_y) - 0.001)]
    assert seen_from_front(head, posed(head), looks, middle)[0].max() < 0.2
    lids = seen_from_front(head, posed(head, eyeBlinkLeft=1.0), looks, middle)[0]
    assert lids[0] > lids[2] + 0.1, "skin"
    pose = torch.zeros(1, 5, 3)
    pose[0, 3:, 1] = 0.45
    turned = head(torch.zeros(1, 10), pose, torch.zeros(1, 3)).vertices.numpy()
    assert seen_from_front(head, turned, looks, [(float(eye_x) - 0.004, float(eye_y))])[0].min() > 0.5


def test_an_open_mouth_is_dark_with_teeth_above(head, looks) -> None:
    wide = posed(head, jaw=0.3, mouthUpperUpLeft=0.6, mouthUpperUpRight=0.6)
    teeth, dark = seen_from_front(head, wide, looks, [(0.003, 0.0685), (0.0, 0.057)])
    assert teeth.min() > 0.8
    assert dark.max() < 0.4


@pytest.mark.parametrize("seed", range(6))
def test_closed_lips_hide_the_teeth(head, looks, seed) -> None:
    betas = torch.randn(10, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)
    for expression in ({}, {"mouthPucker": 1.0}, {"mouthPressLeft": 1.0, "mouthPressRight": 1.0}):
        figure = paint_head(head, posed(head, betas, **expression), looks)
        tracer = Tracer(Meshes([figure.faces], [figure.vertices.shape[1]]), figure.vertices[0])
        rays = np.random.default_rng(0).normal(0, 0.06, (4000, 3)) + np.array([0, -0.93, -1])
        hits = tracer.trace(
            np.array([0, 1, 1.1], np.float32), (rays / np.linalg.norm(rays, axis=1)[:, None]).astype(np.float32)
        )
        assert len(hits.ray) > 2000
        assert (hits.corners[:, 0] >= head.num_vertices).mean() < 0.004


@pytest.mark.parametrize("style", sorted(set(HAIR_STYLES)))
@pytest.mark.parametrize("neckline", NECKLINES)
def test_points_of_the_face_lie_on_what_is_drawn(head, looks, style, neckline) -> None:
    dressed = replace(looks, style=style, neckline=neckline, beard="beard")
    vertices = posed(head, torch.ones(10), jaw=0.1, mouthSmileLeft=1.0)
    figure = paint_head(head, vertices, dressed)
    points = SurfacePoints(head, 600)
    rest = points.rest(torch.zeros(10)).numpy()
    face = (rest[:, 1] > 0.03) & (rest[:, 1] < 0.19) & (rest[:, 2] > 0.1)
    assert face.mean() > 0.25
    on_figure = np.einsum("nk,nkc->nc", points.barycentric, figure.vertices[0][head.faces.numpy()[points.face]])
    on_head = np.einsum("nk,nkc->nc", points.barycentric, vertices[0][head.faces.numpy()[points.face]])
    np.testing.assert_array_equal(on_figure[face], on_head[face])
    away = cover_m(head, dressed)
    crown = head.rest_vertices[:, 1].argmax()
    assert (away[crown] > 0) == (style != "bald")
    assert away[head.rest_vertices[:, 1] < -0.15].min() > 0, "the chest is clothed"


def test_looks_are_drawn_from_the_generator_alone() -> None:
    first, again = (sample_looks(np.random.default_rng(5)) for _ in range(2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(again, name))
    many = [sample_looks(np.random.default_rng(seed)) for seed in range(120)]
    assert {look.style for look in many} == set(HAIR_STYLES)
    assert {look.beard for look in many} == set(BEARDS)
    assert {look.neckline for look in many} == set(NECKLINES)


@pytest.mark.parametrize("seed", range(12))
def test_colours_are_colours_and_hold_for_every_frame(head, seed) -> None:
    looks, rng = sample_looks(np.random.default_rng(seed)), np.random.default_rng(seed)
    corners = head.faces.numpy()[rng.integers(len(head.faces), size=3000)]
    weights = rng.dirichlet((1, 1, 1), 3000).astype(np.float32)
    paint = HeadPaint(looks, measure_head(head))
    colours = paint(corners, weights)
    assert colours.min() >= 0
    assert colours.max() <= 1
    np.testing.assert_array_equal(colours, paint(corners, weights))
    below = head.rest_vertices.numpy()[corners][..., 1].max(axis=1) < -0.15
    worn = np.unique(colours[below].round(3), axis=0)
    assert len(worn) <= 3, "a shirt has two colours and a seam"
