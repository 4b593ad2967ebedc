"""How the open body is made: every step against a closed form, and the result against people."""

import math
import threading
import time

import numpy as np
import pytest
import torch

from models.body import JOINT_NAMES, open_body
from models.body.open_body import _straighten, _swing, ensure_open_body
from models.body.shape_space import principal_directions, regress_joints

J = {name: index for index, name in enumerate(JOINT_NAMES)}


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(ensure_open_body()) as file:
        return dict(file)


def test_skinning_weights_are_convex(arrays) -> None:
    assert arrays["weights"].min() >= 0
    np.testing.assert_allclose(arrays["weights"].sum(axis=1), 1, atol=1e-6)
    assert set(arrays["weights"].argmax(axis=1)) == set(range(24)), "every joint moves some skin"


def test_joint_regressor(arrays) -> None:
    np.testing.assert_allclose(arrays["J_regressor"].sum(axis=1), 1, atol=1e-4)
    assert arrays["joint_error_mm"].max() < 5


def test_shape_directions_are_orthogonal_and_ordered(arrays) -> None:
    flat = arrays["shapedirs"].reshape(-1, 10).astype(np.float64)
    gram = flat.T @ flat
    norms = np.sqrt(np.diag(gram))
    np.testing.assert_allclose(gram / np.outer(norms, norms), np.eye(10), atol=1e-4)
    assert (np.diff(norms) < 0).all()


def test_most_bodies_are_as_tall_as_adults(body) -> None:
    betas = torch.randn(200, 10)
    height_m = body.shaped_at(torch.arange(body.num_vertices), betas)[..., 1]
    height_m = height_m.amax(dim=1) - height_m.amin(dim=1)
    assert 1.62 < height_m.mean() < 1.78
    assert 0.05 < height_m.std() < 0.14
    assert ((height_m > 1.5) & (height_m < 2.0)).float().mean() > 0.9


def test_the_whole_of_a_beta_is_one_standard_deviation() -> None:
    loadings = torch.randn(12, 5 * 3).double() * torch.linspace(3, 0.2, 12).double()[:, None]
    samples = 7 + (torch.randn(400, 12).double() @ loadings).reshape(400, 5, 3)
    template, directions, betas = principal_directions(samples)
    torch.testing.assert_close(betas.std(dim=0), torch.ones(10).double())
    torch.testing.assert_close(betas.mean(dim=0), torch.zeros(10).double(), atol=1e-9, rtol=0)
    rebuilt = template + torch.einsum("sk,kvc->svc", betas, directions)
    eigenvalues = torch.linalg.eigvalsh((samples - template).flatten(1).T @ (samples - template).flatten(1))
    torch.testing.assert_close((samples - rebuilt).square().sum(), eigenvalues[:-10].sum())  # the optimum of PCA


def test_straightening_undoes_an_a_pose(body) -> None:
    pose = torch.zeros(24, 3)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        pose[J[f"{side}_shoulder"], 2] = sign * math.radians(45)
        pose[J[f"{side}_elbow"], 1] = sign * math.radians(30)
    betas, nowhere = torch.zeros(10), torch.zeros(3)
    posed = body(betas, pose, nowhere)
    vertices, joints = _straighten(posed.vertices, posed.joints, body._skinning)
    torch.testing.assert_close(joints, body.joints(betas, torch.zeros(24, 3), nowhere), atol=1e-3, rtol=0)
    torch.testing.assert_close(vertices, body.rest_vertices, atol=2e-3, rtol=0)  # the regressed arm bends by < 1 mm


def test_swing_is_the_smallest_rotation() -> None:
    a, b = torch.randn(2, 3).double()
    rotation = _swing(a, b)
    torch.testing.assert_close(rotation @ (a / a.norm()), b / b.norm())
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3).double())
    axis = torch.linalg.cross(a, b)
    torch.testing.assert_close(rotation @ axis, axis)


def test_regressor_finds_joints_that_are_averages() -> None:
    template, directions = torch.randn(50, 3).double(), torch.randn(10, 50, 3).double()
    betas = torch.randn(60, 10).double()
    vertices = template + torch.einsum("sk,kvc->svc", betas, directions)
    joints = torch.stack([vertices[:, :20].mean(dim=1), vertices[:, 30:35].mean(dim=1)], dim=1)
    regressor = regress_joints(template, directions, joints, betas, num_vertices=50)
    torch.testing.assert_close(torch.einsum("jv,svc->sjc", regressor, vertices), joints, atol=2e-3, rtol=0)
    torch.testing.assert_close(regressor.sum(dim=1), torch.ones(2).double(), atol=1e-6, rtol=0)


def test_processes_that_ask_at_once_build_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ISA4D_CACHE", str(tmp_path / "new"))
    built = []

    def slow_build() -> dict[str, np.ndarray]:
        built.append(threading.get_ident())
        time.sleep(0.1)
        return {"v_template": np.arange(3.0)}

    monkeypatch.setattr(open_body, "build_open_body", slow_build)
    threads = [threading.Thread(target=ensure_open_body) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    with np.load(ensure_open_body()) as file:
        assert file["v_template"].tolist() == [0, 1, 2]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["open_body_v1.lock", "open_body_v1.npz"]
