"""People of the pool: who they are, what stands off their skin, and what is painted on it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.body import JOINT_NAMES, BodyModel
from preprocessing.rendering.posing import posed_vertices
from preprocessing.rendering.rays import directions, eyes
from preprocessing.rendering.tracer import Meshes, Tracer, vertex_normals
from preprocessing.sample import Cameras
from preprocessing.synthetic.cast import as_bodies
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.people.cloth import NUM_DYES, PATTERNS
from preprocessing.synthetic.people.figure import Figure, dress
from preprocessing.synthetic.people.glyphs import CHARACTERS, SIGNS, glyph
from preprocessing.synthetic.people.measures import measure
from preprocessing.synthetic.people.paint import OutfitPaint
from preprocessing.synthetic.people.person import Person, person
from preprocessing.synthetic.people.skirt import PLACES_ROUND
from preprocessing.synthetic.people.volume import thickness
from preprocessing.synthetic.scene.cameras import look_at

SIZE = (96, 96)


def posed(body: BodyModel, who: Person, motion: str, num_frames: int = 5, seed: int = 0) -> np.ndarray:
    """Naked vertices of a person who moves on the ground."""
    done = perform(np.random.default_rng(seed), body, who.betas, num_frames, 8.0, motion)
    return posed_vertices(body, as_bodies(who.betas[None], [done]))[0]


def standing(body: BodyModel, who: Person) -> np.ndarray:
    """The person in the T-pose, facing +z."""
    return body.shaped_at(torch.arange(body.num_vertices), torch.as_tensor(who.betas)).numpy()[None]


def seen(figure: Figure, behind: bool, centred: Figure | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Colours ``H W 3`` and mask of a figure that faces +z, from straight before or behind it (or another figure)."""
    target = (centred or figure).vertices[0]
    middle = (target.min(0) + target.max(0)) / 2
    eye = middle + np.array([0, 0, -4.0 if behind else 4.0])
    focal = 2.0 * SIZE[0]
    intrinsics = np.array([[focal, 0, SIZE[1] / 2], [0, focal, SIZE[0] / 2], [0, 0, 1]], np.float32)
    cameras = Cameras(intrinsics[None], look_at(eye[None], middle[None]).astype(np.float32))
    tracer = Tracer(Meshes([figure.faces], [figure.vertices.shape[1]]), figure.vertices[0])
    hits = tracer.trace(eyes(cameras)[0].astype(np.float32), directions(cameras, 0, SIZE, 1))
    picture, mask = np.zeros((SIZE[0] * SIZE[1], 3)), np.zeros(SIZE[0] * SIZE[1], bool)
    picture[hits.ray], mask[hits.ray] = figure.paint(hits.corners, hits.barycentric), True
    return picture.reshape(*SIZE, 3), mask.reshape(SIZE)


def test_a_number_is_a_person() -> None:
    first, again, other = person(7), person(7), person(8)
    assert first.id == again.id == "person-000007" != other.id
    np.testing.assert_array_equal(first.betas, again.betas)
    np.testing.assert_array_equal(first.outfit.top.cloth.colours, again.outfit.top.cloth.colours)
    assert np.abs(first.betas - other.betas).max() > 0.1
    assert np.abs(person(3).betas).max() <= 2
    train, test = [person(number) for number in range(20)], [person(number) for number in range(20, 30)]
    assert not {p.id for p in train} & {p.id for p in test}
    with pytest.raises(ValueError, match="-1"):
        person(-1)


def test_bare_skin_lies_exactly_on_the_body(body: BodyModel) -> None:
    """Faces, hands and feet of all; whatever has no thickness does not move in any pose."""
    measures = measure(body)
    bare = measures.moved_by("left_hand", "right_hand", "left_foot", "right_foot", "left_ankle", "right_ankle")
    middle, half = measures.head
    at = (measures.rest - middle) / half
    face = measures.moved_by("head") & (at[:, 2] > 0.55) & (at[:, 1] < 0.15) & (np.abs(at[:, 0]) < 0.6)
    assert face.sum() > 500
    for who in [person(number) for number in range(40)]:
        away = thickness(who.outfit, measures)
        assert away.min() >= 0
        assert away.max() < 0.09
        assert (away[bare | face] == 0).all()
        assert (away > 0.003).sum() > 500
    for who in [person(number) for number in range(6)]:
        naked = posed(body, who, "walk")
        figure = dress(body, naked, who)
        still = thickness(who.outfit, measures) == 0
        np.testing.assert_array_equal(figure.vertices[:, : body.num_vertices][:, still], naked[:, still])
        moved = figure.vertices[:, : body.num_vertices] - naked
        outwards = (moved * vertex_normals(naked, body.faces.numpy())).sum(-1)
        np.testing.assert_allclose(
            outwards, np.broadcast_to(thickness(who.outfit, measures), outwards.shape), atol=1e-5
        )


def test_thickness_is_smooth(body: BodyModel) -> None:
    """Cloth has no cliffs: along an edge of the mesh it rises less steeply than 70 degrees."""
    measures, faces = measure(body), body.faces.numpy()
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    length = np.linalg.norm(np.diff(measures.rest[edges], axis=1)[:, 0], axis=1)
    for who in [person(number) for number in range(20)]:
        step = np.abs(np.diff(thickness(who.outfit, measures)[edges], axis=1)[:, 0])
        steep = step > np.tan(np.deg2rad(70)) * length + 1e-3
        assert steep.mean() < 5e-3


def test_nothing_sinks_into_the_ground(body: BodyModel) -> None:
    for who in [person(number) for number in range(24)]:
        for motion in ("walk", "squat"):
            naked = posed(body, who, motion)
            lowest = dress(body, naked, who).vertices[..., 1].min(axis=1)
            assert (lowest > naked[..., 1].min(axis=1) - 1e-4).all(), who.id


def test_a_figure_covers_the_naked_body(body: BodyModel) -> None:
    faces = body.faces.numpy()
    for who in [person(number) for number in range(12)]:
        naked = posed(body, who, "march")[2:3]
        figure = dress(body, naked, who)
        np.testing.assert_array_equal(figure.faces[: len(faces)], faces)
        assert figure.faces.max() == figure.vertices.shape[1] - 1
        assert len(figure.part) == figure.vertices.shape[1] > body.num_vertices
        bare = replace(figure, vertices=naked, faces=faces, part=figure.part[: body.num_vertices])
        for behind in (False, True):
            dressed, body_alone = seen(figure, behind)[1], seen(bare, behind, centred=figure)[1]
            assert (body_alone & ~dressed).sum() <= 0.01 * body_alone.sum()


def test_no_thigh_comes_through_a_skirt(body: BodyModel) -> None:
    """Level and away from the skirt's middle, every place on a thigh has cloth before it, or less than 2 cm back."""
    thighs = np.nonzero(measure(body).moved_by("left_hip", "right_hip"))[0]
    wearers = [who for who in [person(number) for number in range(30)] if who.outfit.skirt]
    assert len(wearers) > 5
    for who in wearers:
        naked = posed(body, who, "walk", num_frames=9)
        figure = dress(body, naked, who)
        first = figure.vertices.shape[1] - _skirt_size(figure)
        cloth = figure.vertices[:, first:]
        meshes = Meshes([figure.faces[(figure.faces >= first).all(axis=1)] - first], [cloth.shape[1]])
        for skin, sheet in zip(naked[:, thighs], cloth, strict=True):
            level = np.abs(skin[:, None, 1] - sheet[None, :, 1]) < 0.04
            covered = level.sum(axis=1) > PLACES_ROUND / 2
            skin, level = skin[covered], level[covered, :, None]
            low, high = (f(np.where(level, sheet[:, ::2], far), axis=1) for f, far in ((np.min, 9e9), (np.max, -9e9)))
            away = np.zeros_like(skin)
            away[:, ::2] = skin[:, ::2] - (low + high) / 2
            away /= np.linalg.norm(away, axis=1, keepdims=True)
            scene = Tracer(meshes, sheet).scene
            outside = scene.run(skin, away, output=1)["primID"] < 0
            behind = scene.run(skin, -away, output=1)["tfar"][outside]
            assert not ((behind > 0.02) & (behind < 0.15)).any(), who.id


def _skirt_size(figure: Figure) -> int:
    return len(figure.paint.pieces[-1].chart)  # type: ignore[attr-defined]


def test_a_skirt_goes_round_both_legs(body: BodyModel) -> None:
    who = next(p for p in [person(number) for number in range(60)] if p.outfit.skirt)
    naked = standing(body, who)
    figure = dress(body, naked, who)
    cloth = figure.vertices[0, -_skirt_size(figure) :]
    knees = np.abs(naked[0, measure(body).moved_by("left_knee", "right_knee"), 0]).max()
    hem = cloth[cloth[:, 1] < cloth[:, 1].min() + 0.02]
    turn = np.sort(np.arctan2(hem[:, 0] - hem[:, 0].mean(), hem[:, 2] - hem[:, 2].mean()))
    assert np.diff(turn).max() < np.deg2rad(30)  # on all sides
    assert hem[:, 0].max() > 0.8 * knees
    assert hem[:, 0].min() < -0.8 * knees


def test_pieces_face_outwards(body: BodyModel) -> None:
    """Shading takes their normals: skirts, shoes, buns and brims wind as the body does."""
    kinds = set()
    for who in [person(number) for number in range(40)]:
        figure = dress(body, standing(body, who), who)
        for piece in figure.paint.pieces:  # type: ignore[attr-defined]
            vertices = piece.vertices[0]
            normals = vertex_normals(vertices, piece.faces)
            flat = np.ptp(vertices, axis=0).argmin()  # a visor faces up, all else away from its middle
            outwards = vertices - vertices.mean(axis=0) if np.ptp(vertices[:, flat]) > 0.06 else np.eye(3)[1]
            assert ((normals * outwards).sum(-1) > 0).mean() > 0.6, who.id
            kinds.add(len(vertices))
    assert len(kinds) > 5


def test_a_face_without_holes_has_its_features_where_people_have_them(body: BodyModel) -> None:
    measures, closed = measure(body), copy.deepcopy(body)
    edges = np.sort(np.concatenate([body.faces.numpy()[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))]), axis=1)
    once, count = np.unique(edges, axis=0, return_counts=True)
    rim = once[count == 1]
    filled = np.concatenate([body.faces.numpy(), np.concatenate([rim, rim[:, :1]], axis=1)])  # every edge now twice
    closed.faces = torch.as_tensor(np.concatenate([filled, filled[len(body.faces) :]]))
    guessed = measure(closed)
    np.testing.assert_allclose(guessed.eye, measures.eye, atol=4e-3)
    np.testing.assert_allclose(guessed.mouth[:3], measures.mouth[:3], atol=4e-3)


def test_people_are_told_apart_by_their_colours(body: BodyModel) -> None:
    def colours(who: Person) -> np.ndarray:
        picture, mask = seen(dress(body, standing(body, who), who), behind=False)
        rows = np.nonzero(mask.any(1))[0]
        height = (np.arange(SIZE[0]) - rows[0]) / (rows[-1] - rows[0])
        parts = [
            mask & ((height >= low) & (height < high))[:, None] for low, high in ((0.0, 0.14), (0.2, 0.45), (0.55, 1))
        ]
        return np.stack([picture[part].mean(0) for part in parts])

    seen_colours = np.stack([colours(who) for who in [person(number) for number in range(100, 130)]])
    apart = np.abs(seen_colours[:, None] - seen_colours[None]).mean(-1).max(-1)[np.triu_indices(30, 1)]
    assert np.median(apart) > 0.25
    assert np.quantile(apart, 0.02) > 0.08
    assert apart.min() > 0.03


def test_faces_tell_front_from_back(body: BodyModel) -> None:
    """Before there is mostly skin, behind hair, unless a hat covers it."""
    measures = measure(body)
    head = measures.moved_by("head")
    at = (measures.rest - measures.head[0]) / measures.head[1]
    front = measures.rest[head & (np.abs(at[:, 1]) < 0.3) & (at[:, 2] > 0.4)]
    back = measures.rest[head & (np.abs(at[:, 1]) < 0.3) & (at[:, 2] < -0.7)]
    part = JOINT_NAMES.index("head")
    for who in [person(number) for number in range(30)]:
        paint, outfit = OutfitPaint(who.outfit, measures), who.outfit
        face, nape = (paint(points, np.full(len(points), part)) for points in (front, back))
        if outfit.head.glasses is None and outfit.head.style != "long":
            assert (np.abs(face / outfit.skin - 1).max(axis=1) < 0.1).mean() > 0.4, who.id
        assert (np.abs(nape - outfit.skin).max(axis=1) < 0.01).mean() < 0.05, who.id


def test_fronts_differ_from_backs(body: BodyModel) -> None:
    differing = []
    for who in [person(number) for number in range(20)]:
        figure = dress(body, standing(body, who), who)
        (front, mask), (back, _) = seen(figure, False), seen(figure, True)
        differing.append((np.abs(front - back[:, ::-1]).max(-1)[mask] > 0.1).mean())
    assert np.median(differing) > 0.08
    assert min(differing) > 0.02


def test_the_left_eye_of_a_resting_body_has_white_and_iris(body: BodyModel) -> None:
    measures = measure(body)
    assert measures.eye[0] == pytest.approx(0.031, abs=2e-3)  # the hole in the open body's mesh
    who = next(
        p for p in [person(number) for number in range(60)] if not p.outfit.head.glasses and not p.outfit.head.hat
    )
    x, y, half_width, _ = measures.eye
    places = np.array(
        [[x, y, 0.127], [x + 0.8 * half_width, y, 0.127], [x, measures.mouth[1] + 0.004, 0.14]], np.float32
    )
    iris, white, _ = OutfitPaint(who.outfit, measures)(places, np.full(3, JOINT_NAMES.index("head")))
    np.testing.assert_allclose(iris, who.outfit.head.iris, atol=1e-6)
    assert white.min() > 0.8


def test_every_pattern_uses_its_dyes() -> None:
    across, down = (grid.ravel() for grid in np.mgrid[-10:10:301j, -10:10:301j])
    for name, pattern in PATTERNS.items():
        dyes = np.unique(pattern(across, down))
        assert set(dyes) <= set(range(NUM_DYES)), name
        assert (len(dyes) > 1) == (name != "plain")


def test_prints_read_from_left_to_right() -> None:
    x, y = (grid.ravel() for grid in np.meshgrid(np.linspace(-0.95, 0.95, 80), np.linspace(-0.95, 0.95, 80)))
    for name in (*SIGNS, *CHARACTERS, "72"):
        assert 0.05 < glyph(name, x, y).mean() < 0.95, name
    low = y < -0.3
    letter = glyph("F", x, y)
    assert letter[low & (x < -0.7)].all()  # its stem
    assert not letter[low & (x > 0)].any()
    upright = glyph("triangle", x, y)
    assert upright[y < -0.5].sum() > 3 * upright[y > 0.5].sum()
    with pytest.raises(ValueError, match="unicorn"):
        glyph("unicorn", x, y)
