"""Negative log posterior of the bodies of a clip: every residual divided by the error expected of it.

Shapes: ``F`` frames, ``K`` targets (landmarks with a place on the body), ``N`` surface points, ``M`` contour pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from models.body import BodyModel
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.body_fitting.camera import project_all
from preprocessing.body_fitting.config import BodyFitConfig
from preprocessing.body_fitting.landmarks import NUM_TARGETS, gather_landmarks, joint_indices, surface_vertices
from preprocessing.body_fitting.pose_prior import PosePrior
from preprocessing.body_fitting.silhouette import SilhouetteLoss, area_uniform_vertices
from preprocessing.sample import NUM_BETAS, NUM_JOINTS

COVERED_WITHIN = 0.01
"""Share of the person's height: surface points lie about as far apart, so nearer contour pixels are covered."""

COARSE_STIFFNESS = 4
"""How much more motion costs while frames are to move together."""


@dataclass
class Targets:
    """The landmarks that have a place on the body. Frames without a person hold zeros of zero weight."""

    pixels: Float[Tensor, "F K 2"]
    world_m: Float[Tensor, "F K 3"]
    weight: Float[Tensor, "F K"]
    """Squared visibility: what the network only guesses at counts little."""
    found: Bool[Tensor, " F"]

    @classmethod
    def of(cls, landmarks: PoseLandmarks) -> Targets:
        """Gather them from what the network saw."""

        def gather(values: np.ndarray) -> Tensor:
            present = np.where(landmarks.found.reshape(-1, *[1] * (values.ndim - 1)), values, 0)
            return torch.from_numpy(gather_landmarks(present)).float()

        weight = gather(landmarks.visibility) ** 2
        return cls(gather(landmarks.pixels), gather(landmarks.world_m), weight, torch.from_numpy(landmarks.found))


@dataclass
class BodyState:
    """What a fit moves."""

    betas: Float[Tensor, " 10"]
    pose: Float[Tensor, "F 24 3"]
    translation: Float[Tensor, "F 3"]
    log_scale: Float[Tensor, ""]
    """Log of the body's size over that of the network's metric landmarks."""

    def parameters(self) -> list[Tensor]:
        """For an optimiser."""
        return [self.betas, self.pose, self.translation, self.log_scale]


class Objective:
    """Landmarks in the image and in 3D, smooth motion, likely poses and shapes, and the person's outline."""

    def __init__(
        self,
        body: BodyModel,
        prior: PosePrior,
        targets: Targets,
        masks: Bool[np.ndarray, "F H W"],
        others: Bool[np.ndarray, "F H W"],
        intrinsics: Float[Tensor, "3 3"],
        fps: float,
        config: BodyFitConfig,
        first_guess: BodyState,
    ) -> None:
        self.body, self.prior, self.targets, self.config, self.fps = body, prior, targets, config, fps
        self.intrinsics = intrinsics
        self.joint_ids = joint_indices(body)
        generator = torch.Generator().manual_seed(config.seed)
        surface = area_uniform_vertices(body.rest_vertices, body.faces, config.surface_points, generator)
        self.vertex_ids = torch.cat([surface_vertices(body), surface])
        self.silhouette = SilhouetteLoss(masks, others, config.contour_pixels, np.random.default_rng(config.seed))

        at_rest = BodyState(torch.zeros(NUM_BETAS), torch.zeros(1, NUM_JOINTS, 3), torch.zeros(1, 3), torch.zeros(()))
        _, places, points = self.pose_body(at_rest)
        # A part that the landmarks say is hidden (behind a table, say) may lie outside the mask.
        self.seen = targets.weight[:, torch.cdist(points[0], places[0]).argmin(dim=-1)]
        height_m = body.rest_vertices[:, 1].max() - body.rest_vertices[:, 1].min()
        self.height_px = (intrinsics[0, 0] * height_m / first_guess.translation.detach()[:, 2:]).median(dim=0).values

    def pose_body(
        self, state: BodyState
    ) -> tuple[Float[Tensor, "F 24 3"], Float[Tensor, "F K 3"], Float[Tensor, "F N 3"]]:
        """Joints, the places on the body that landmarks show, and points all over its surface."""
        betas = state.betas.expand(len(state.pose), NUM_BETAS)
        joints = self.body.joints(betas, state.pose, state.translation)
        vertices = self.body.vertices_at(self.vertex_ids, betas, state.pose, state.translation)
        landmark_vertices, surface = vertices.tensor_split([NUM_TARGETS - len(self.joint_ids)], dim=1)
        return joints, torch.cat([joints[:, self.joint_ids], landmark_vertices], dim=1), surface

    def __call__(self, state: BodyState, coarse: bool) -> Float[Tensor, ""]:
        """One number, a frame's worth; the shape is worth as much as in one frame, as frames of a clip agree on it.

        ``coarse`` is for the start of a search: frames move together, which keeps single ones from folding a limb the
        wrong way, and the outline is left out, which only helps once limbs are near it.
        """
        joints, places, surface = self.pose_body(state)
        per_clip = self.landmarks_2d(places) + self.landmarks_3d(places, state.log_scale.exp())
        per_clip = per_clip + self.prior(state.pose).sum()
        motion = self.motion(joints, state.pose)
        per_clip = per_clip + (COARSE_STIFFNESS * motion if coarse else motion + self.outline(surface))
        return per_clip / len(state.pose) + ((state.betas / self.config.shape) ** 2).sum()

    def landmarks_2d(self, places: Float[Tensor, "F K 3"]) -> Float[Tensor, ""]:
        """Where the landmarks project."""
        error_px = (project_all(places, self.intrinsics)[0] - self.targets.pixels).norm(dim=-1)
        return (self.targets.weight * robust(error_px / (self.config.landmark_2d * self.height_px))).sum()

    def landmarks_3d(self, places: Float[Tensor, "F K 3"], scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """Landmarks in metres about their common centre: tells which of two mirrored poses.

        Compared at the scale of the landmarks, so that no body fits better by being smaller.
        """
        weight = self.targets.weight
        error = places / scale - self.targets.world_m
        share = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-6)
        error = error - (share[..., None] * error).sum(dim=1, keepdim=True)
        return (weight * robust(error.norm(dim=-1) / self.config.landmark_3d_m)).sum()

    def motion(self, joints: Float[Tensor, "F 24 3"], pose: Float[Tensor, "F 24 3"]) -> Float[Tensor, ""]:
        """Joints have mass: little acceleration, save for the odd kick. No kick excuses a limb that flips over."""
        acceleration = joints.diff(n=2, dim=0).norm(dim=-1) * self.fps**2
        turning = pose.diff(n=2, dim=0).norm(dim=-1) * self.fps**2
        speed = joints.diff(dim=0).norm(dim=-1) * self.fps
        return (
            robust(acceleration / self.config.acceleration_m_s2).sum()
            + (turning / self.config.rotation_acceleration_rad_s2).square().sum()
            + robust(speed / self.config.speed_m_s).sum()
        )

    def outline(self, surface: Float[Tensor, "F N 3"]) -> Float[Tensor, ""]:
        """Points inside the mask and its contour covered; each way is worth as much as all landmarks together."""
        surface_px, _ = project_all(surface, self.intrinsics)
        spill, gap = self.silhouette(surface_px, self.seen, COVERED_WITHIN * float(self.height_px))
        expected_px = self.config.outline * self.height_px
        return NUM_TARGETS * (robust(spill / expected_px).mean(dim=-1) + robust(gap / expected_px).mean(dim=-1)).sum()


def robust(residual: Tensor) -> Tensor:
    """Quadratic near zero, linear beyond two standard deviations (pseudo-Huber): outliers must not bend a body."""
    return 8 * ((1 + (residual / 2) ** 2).sqrt() - 1)
