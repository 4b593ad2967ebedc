"""The frames of a clip → masks, bodies and cameras of the people in it, by one of three ways.

``MediaPipePeople`` follows people itself and fits bodies to what it sees; ``PhalpPeople`` takes over what 4D-Humans
made of the video, ``OwnPeople`` what the user did. All have the same stages, and may have their masks from SAM 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from models.body import BodyModel
from preprocessing.annotators.follow_people import follow_people
from preprocessing.annotators.followed_clip import FollowedClip, FollowedPerson
from preprocessing.annotators.mediapipe_pose import MediaPipePose
from preprocessing.annotators.own_people import follow_own
from preprocessing.annotators.phalp_people import follow_with_phalp
from preprocessing.annotators.pose import PoseLandmarks
from preprocessing.annotators.results import results_of
from preprocessing.annotators.sam2_masks import MakeMasks, sam2_name
from preprocessing.body_fitting.score import outside_share, score_bodies, worst
from preprocessing.executor import stage
from preprocessing.sample import STILL_CAMERA, Bodies, Cameras
from preprocessing.settings import PrepareConfig
from preprocessing.stages.estimate_body import fit_bodies
from preprocessing.stages.limits import judge
from preprocessing.stages.mask_people import mask_people
from preprocessing.stages.resize_clips import Resize
from preprocessing.stages.track_people import track_people
from preprocessing.window import Window

Person = TypeVar("Person", PoseLandmarks, FollowedPerson)


@dataclass(frozen=True)
class ClipFrames:
    """What is annotated."""

    place: str
    """Of the video."""
    video_size: tuple[int, int]
    """(H, W) of its pictures, pixels."""
    window: Window
    frames: UInt8[np.ndarray, "F H W 3"]
    """At the size that annotators see."""
    resize: Resize
    """From there to the size that is stored."""


@dataclass
class Annotation:
    """The people of a clip, at the size that is stored."""

    masks: Bool[np.ndarray, "P F h w"]
    bodies: Bodies
    cameras: Cameras
    scores_of_people: list[dict[str, float]]
    annotators: dict[str, str]
    """What made the poses, masks, bodies and camera."""


class Annotator(ABC):
    """What all ways have in common. Raises, when called, ``StageFailed`` naming the stage that refused the clip.

    Args:
        sam2: makes the masks; None for those of whatever follows people.
    """

    def __init__(self, config: PrepareConfig, body: BodyModel, sam2: MakeMasks | None) -> None:
        self.config, self.body, self.sam2 = config, body, sam2

    def mask_name(self, tracker: str) -> str:
        """Who made the masks."""
        return tracker if self.sam2 is None else sam2_name(self.config.mask_people.sam2)

    @abstractmethod
    def __call__(self, clip: ClipFrames, scores: dict[str, float]) -> Annotation:
        """Adds to ``scores`` what it measures."""

    def mask(
        self, clip: ClipFrames, people: list[Person], scores: dict[str, float]
    ) -> tuple[list[Person], Bool[np.ndarray, "P F h w"]]:
        """Those who are large enough, and their masks, of the size that is stored."""
        with stage("mask_people", scores):
            if self.sam2 is not None:
                boxes = [person.boxes() if isinstance(person, PoseLandmarks) else person.boxes for person in people]
                for person, likely in zip(people, self.sam2(clip.frames, np.stack(boxes)), strict=True):
                    person.segmentation = likely
            for person in people:
                person.segmentation = clip.resize.maps(person.segmentation)
            people, masks, measured = mask_people(people, self.config.mask_people)
            scores |= measured
        with stage("filter_people", scores):
            judge(scores, self.config.filter_people)
        return people, masks


class MediaPipePeople(Annotator):
    """MediaPipe's networks follow people; bodies are fitted to landmarks and masks."""

    def __init__(self, config: PrepareConfig, body: BodyModel, sam2: MakeMasks | None) -> None:
        super().__init__(config, body, sam2)
        self.network = MediaPipePose()

    def __call__(self, clip: ClipFrames, scores: dict[str, float]) -> Annotation:
        """See ``Annotator``."""
        config, (height, width) = self.config, clip.frames.shape[1:3]
        with stage("track_people", scores):
            stretches = follow_people(clip.frames, self.network)
            people, measured = track_people(stretches, len(clip.frames), (height, width), config.track_people)
            scores |= measured
        people, masks = self.mask(clip, people, scores)
        with stage("estimate_body", scores):
            for person in people:
                person.pixels = clip.resize.points(person.pixels)
            fit = fit_bodies(people, masks, clip.resize.stored, clip.window.fps, config.estimate_body)
            scores |= fit.worst_scores
            judge(scores, config.filter_bodies)
        mediapipe = f"mediapipe {version('mediapipe')}"
        annotators = {
            "pose": mediapipe,
            "masks": self.mask_name(mediapipe),
            "body": f"fit of the {config.estimate_body.body} body",
            "camera": STILL_CAMERA,
        }
        return Annotation(masks, fit.bodies, fit.cameras, fit.scores, annotators)


class FollowedPeople(Annotator):
    """Somebody else followed people and estimated their bodies."""

    @abstractmethod
    def follow(self, clip: ClipFrames) -> tuple[FollowedClip, str]:
        """The people, in pictures of the size that annotators see, and what is said of the camera."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Who did."""

    def __call__(self, clip: ClipFrames, scores: dict[str, float]) -> Annotation:
        """See ``Annotator``."""
        config, size = self.config, (clip.frames.shape[1], clip.frames.shape[2])
        with stage("track_people", scores):
            followed, camera = self.follow(clip)
            bodies = followed.bodies.people([person.index for person in followed.people])
            outside = outside_share(self.body, bodies, followed.cameras, size)
            scores |= followed.scores | {"outside_share": outside}
        people, masks = self.mask(clip, followed.people, scores)
        with stage("estimate_body", scores):
            intrinsics = clip.resize.intrinsics(torch.from_numpy(followed.cameras.intrinsics))
            cameras = replace(followed.cameras, intrinsics=intrinsics.numpy())
            bodies = followed.bodies.people([person.index for person in people])
            per_person = score_bodies(self.body, bodies, masks, cameras, clip.window.fps)
            scores |= worst(per_person)
            judge(scores, config.filter_bodies)
        annotators = {"pose": self.name, "masks": self.mask_name(self.name), "body": self.name, "camera": camera}
        return Annotation(masks, bodies, cameras, per_person, annotators)


class PhalpPeople(FollowedPeople):
    """4D-Humans did: SMPL bodies, each in the axes of the camera of its frame."""

    name = "4D-Humans"

    def follow(self, clip: ClipFrames) -> tuple[FollowedClip, str]:
        """See ``FollowedPeople``."""
        config, size = self.config.track_people, (clip.frames.shape[1], clip.frames.shape[2])
        results = results_of(clip.place, config)
        return follow_with_phalp(clip.place, results, clip.window, clip.video_size, size, config), STILL_CAMERA


class OwnPeople(FollowedPeople):
    """The user did, however."""

    name = "the user's own"

    def follow(self, clip: ClipFrames) -> tuple[FollowedClip, str]:
        """See ``FollowedPeople``."""
        config, size = self.config.track_people, (clip.frames.shape[1], clip.frames.shape[2])
        path = results_of(clip.place, config)
        followed, own = follow_own(self.body, clip.place, path, clip.window, clip.video_size, size, config)
        if own.whose is None and self.sam2 is None:
            raise ValueError(
                f"{path}: no array whose, and masks are not those of SAM 2: set mask_people.annotator: sam2"
            )
        return followed, self.name if own.camera_moves else STILL_CAMERA


ANNOTATORS: dict[str, type[Annotator]] = {"mediapipe": MediaPipePeople, "phalp": PhalpPeople, "npz": OwnPeople}
"""By ``track_people.annotator``."""
