"""Fit SMPL bodies to a clip's landmarks and masks, all frames of a person at once.

World frame: the (static) camera's own axes, so ``world_to_camera`` is the identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from tqdm import trange

from models.body import HeadModel, load_body
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.body_fitting.camera import guess_intrinsics, static_cameras
from preprocessing.body_fitting.config import BodyFitConfig
from preprocessing.body_fitting.first_guess import first_guess
from preprocessing.body_fitting.objective import Objective, Targets
from preprocessing.body_fitting.pose_prior import PosePrior
from preprocessing.body_fitting.score import SEEN, score_fit, worst
from preprocessing.sample import Bodies, Cameras

__all__ = ["BodyFit", "BodyFitConfig", "fit_bodies", "fit_body"]


@dataclass
class BodyFit:
    """The people of a clip, and a static camera."""

    bodies: Bodies
    cameras: Cameras
    scores: list[dict[str, float]]
    """Of each person: see :func:`preprocessing.body_fitting.score.score_fit`."""

    @property
    def worst_scores(self) -> dict[str, float]:
        """Of whichever person each is worst."""
        return worst(self.scores)


def fit_bodies(
    people: list[PoseLandmarks],
    masks: Bool[np.ndarray, "P F H W"],
    image_size: tuple[int, int],
    fps: float,
    config: BodyFitConfig,
) -> BodyFit:
    """Everybody in one shot: ``fit_body`` of each person, whom the others may hide.

    Raises:
        ValueError: as ``fit_body``.
    """
    fits = []
    for person, landmarks in enumerate(people):
        others = np.delete(masks, person, axis=0).any(axis=0)
        fits.append(fit_body(landmarks, masks[person], image_size, fps, config, others))
    joined = {
        name: np.concatenate([getattr(fit.bodies, name) for fit in fits])
        for name in ("betas", "pose", "translation", "confidence", "valid")
    }
    return BodyFit(Bodies(**joined), fits[0].cameras, [fit.scores[0] for fit in fits])


def fit_body(
    landmarks: PoseLandmarks,
    masks: Bool[np.ndarray, "F H W"],
    image_size: tuple[int, int],
    fps: float,
    config: BodyFitConfig,
    others: Bool[np.ndarray, "F H W"] | None = None,
) -> BodyFit:
    """Shape, poses and places of the person whose landmarks these are, over one shot of a static camera.

    ``image_size`` is (H, W) in pixels, of the masks and of ``landmarks.pixels``; ``others`` is where other people are,
    who may stand in front. Frames where the person was not found get ``valid=False``, no confidence and the smoothest
    motion between their neighbours.

    Raises:
        ValueError: if nobody was seen in any frame, landmarks of a found frame are not finite, shapes disagree,
            fps is not positive or ``config.body`` is a head.
    """
    others = np.zeros_like(masks) if others is None else others
    _check(landmarks, masks, image_size, fps)
    body, targets = load_body(config.body), Targets.of(landmarks)
    if isinstance(body, HeadModel):
        raise ValueError(f"body {config.body!r} is a head, and landmarks are of whole people: set body to open")
    prior = PosePrior(body)
    intrinsics = guess_intrinsics(image_size, config.focal_of_longer_side)
    state = first_guess(body, prior, targets, intrinsics)
    objective = Objective(body, prior, targets, masks, others, intrinsics, fps, config, state)

    for parameter in state.parameters():
        parameter.requires_grad_()
    # A short memory of squared gradients: the steep coarse stage must not slow the fine one down.
    optimiser = torch.optim.Adam(state.parameters(), lr=config.learning_rate, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.steps, eta_min=config.learning_rate / 20)
    for step in trange(config.steps, desc="fit body", leave=False):
        optimiser.zero_grad()
        objective(state, coarse=step < config.steps // 3).backward()
        optimiser.step()
        schedule.step()
    for parameter in state.parameters():
        parameter.requires_grad_(False)

    scores, confidence = score_fit(body, state, landmarks, masks, others, intrinsics, fps)
    bodies = Bodies(
        betas=state.betas[None].numpy(),
        pose=state.pose[None].numpy(),
        translation=state.translation[None].numpy(),
        confidence=confidence[None],
        valid=landmarks.found[None].copy(),
    )
    return BodyFit(bodies, static_cameras(intrinsics, len(landmarks.found)), [scores])


def _check(landmarks: PoseLandmarks, masks: Bool[np.ndarray, "F H W"], image_size: tuple[int, int], fps: float) -> None:
    found = landmarks.found
    if fps <= 0:
        raise ValueError(f"fps is {fps}, it must be above 0")
    if masks.shape != (len(found), *image_size):
        raise ValueError(f"masks have shape {masks.shape}, landmarks and image size say {(len(found), *image_size)}")
    for name in ("pixels", "world_m", "visibility"):
        finite = np.isfinite(getattr(landmarks, name)).reshape(len(found), -1).all(axis=1)
        if (broken := np.flatnonzero(found & ~finite)).size:
            raise ValueError(f"landmarks.{name} is not finite in found frames {broken.tolist()}: mark them not found")
    if not (landmarks.visibility[found] >= SEEN).any():
        raise ValueError(
            f"nobody to fit a body to: {int(found.sum())} of {len(found)} frames have a person, "
            f"and no landmark is visible above {SEEN}"
        )
