"""People in one world: near one another, and never in one another."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from models.body import BodyModel
from preprocessing.synthetic.motion.formations import FORMATIONS, OF_THREE
from preprocessing.synthetic.motion.performance import perform
from preprocessing.synthetic.motion.plan import Performance
from preprocessing.synthetic.motion.quality import foot_contact
from preprocessing.synthetic.motion.together import choreograph, closest

NUM_FRAMES, FPS = 17, 8.0
CASTS = [(name, count) for name in FORMATIONS for count in (2, 3) if count == 3 or name not in OF_THREE]


def group(
    body: BodyModel, seed: int, count: int, name: str | None = None, frames: int = NUM_FRAMES
) -> tuple[np.ndarray, list[Performance]]:
    rng = np.random.default_rng(seed)
    betas = np.clip(rng.normal(size=(count, 10)), -2, 2).astype(np.float32)
    return betas, choreograph(rng, body, betas, frames, FPS, name)


def skins(body: BodyModel, betas: np.ndarray, people: list[Performance]) -> list[np.ndarray]:
    return [
        body(
            torch.as_tensor(shape).expand(len(p.pose), -1), torch.as_tensor(p.pose), torch.as_tensor(p.translation)
        ).vertices.numpy()
        for shape, p in zip(betas, people, strict=True)
    ]  # fmt: skip


def paths(people: list[Performance]) -> np.ndarray:
    return np.stack([p.translation[:, [0, 2]] for p in people])


@pytest.mark.parametrize(("name", "count"), CASTS)
def test_nobody_touches_anybody_and_all_stand_on_the_ground(body: BodyModel, name: str, count: int) -> None:
    for seed in range(2):
        betas, people = group(body, seed, count, name)
        assert len(people) == count
        everyone = skins(body, betas, people)
        for i in range(count):
            for j in range(i):
                for frame in range(NUM_FRAMES):
                    far, _ = cKDTree(everyone[i][frame, ::2]).query(everyone[j][frame, ::2])
                    assert far.min() > 0.03, (name, seed, frame)
        for shape, person in zip(betas, people, strict=True):
            contact = foot_contact(body, shape, person.pose, person.translation, FPS)
            assert np.abs(contact.lowest_m).max() < 0.002
            if len(contact.drift_m_s):
                assert contact.drift_m_s.mean() < 0.02
        np.testing.assert_allclose(paths(people).mean(axis=(0, 1)), 0, atol=0.05)


@pytest.mark.slow
def test_every_seed_finds_room(body: BodyModel) -> None:
    for seed in range(60):
        betas, people = group(body, seed, 2 + seed % 2, frames=9)
        assert closest(body, betas, people) >= 0.1


def test_people_come_near_one_another(body: BodyModel) -> None:
    nearest = [closest(body, *group(body, seed, 2, "crossing")) for seed in range(4)]
    assert np.median(nearest) < 0.6


def test_walkers_who_cross_go_opposite_ways(body: BodyModel) -> None:
    _, people = group(body, 3, 2, "crossing")
    first, second = (path[-1] - path[0] for path in paths(people))
    assert first @ second / np.linalg.norm(first) / np.linalg.norm(second) < -0.9


def test_who_walks_in_a_circle_keeps_the_others_at_a_distance(body: BodyModel) -> None:
    _, people = group(body, 4, 2, "circling")
    far = np.linalg.norm(paths(people)[0] - paths(people)[1], axis=1)
    assert far.std() < 0.06 * far.mean()
    assert np.linalg.norm(paths(people)[0][-1] - paths(people)[0][0]) > 0.5


def test_those_who_face_one_another_do(body: BodyModel) -> None:
    for seed in range(6):
        _, people = group(body, seed, 2, "facing")
        if people[0].name == "facing:dance":  # dancers turn
            continue
        facing = [Rotation.from_rotvec(p.pose[:, 0]).as_matrix()[:, [0, 2], 2] for p in people]
        between = paths(people)[1] - paths(people)[0]
        between /= np.linalg.norm(between, axis=1, keepdims=True)
        assert (facing[0] * between).sum(axis=1).mean() > 0.7
        assert (facing[1] * -between).sum(axis=1).mean() > 0.7


def test_somebody_passes_in_front_of_or_behind_one_who_stands(body: BodyModel) -> None:
    _, (stands, walks) = group(body, 5, 2, "passing")
    assert np.ptp(stands.translation[:, [0, 2]], axis=0).max() < 0.3
    assert np.linalg.norm(walks.translation[-1] - walks.translation[0]) > 1.5


def test_the_distance_is_that_of_the_nearest_skin(body: BodyModel) -> None:
    betas = np.zeros((2, 10), np.float32)
    one = perform(np.random.default_rng(0), body, betas[0], 3, FPS, "bow")
    other = Performance(one.name, one.pose, one.translation + np.array([0, 0, 3], np.float32))
    first, second = skins(body, betas, [one, other])
    wanted = min(cKDTree(first[f, ::20]).query(second[f, ::20])[0].min() for f in range(3))
    assert closest(body, betas, [one, other]) == pytest.approx(wanted, abs=2e-3)


def test_the_same_generator_gives_the_same_group(body: BodyModel) -> None:
    for (_, first), (_, again) in zip(
        [group(body, seed, 3) for seed in range(3)], [group(body, seed, 3) for seed in range(3)], strict=True
    ):
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one.pose, other.pose)
            np.testing.assert_array_equal(one.translation, other.translation)


def test_groups_that_cannot_be_are_refused(body: BodyModel) -> None:
    with pytest.raises(ValueError, match="4 people: a formation has 2 or 3"):
        group(body, 0, 4)
    with pytest.raises(ValueError, match=r"no formation 'pair_and_passer' of 2 people; there are crossing"):
        group(body, 0, 2, "pair_and_passer")
