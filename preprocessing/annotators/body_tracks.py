"""People whom PHALP followed through a whole video and fitted SMPL to, and a clip's share of them.

A track holds the frames in which a person was seen. Clips must hold everybody in all frames: between the frames where
somebody was seen they turn and move evenly, and before the first and after the last they stand still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from scipy.spatial.transform import Rotation

from preprocessing.annotators.coco_mask import CocoMask
from preprocessing.sample import Bodies


@dataclass(frozen=True)
class BodyTrack:
    """One person, in the frames in which they were seen."""

    frames: Int[np.ndarray, " n"]
    """Numbers of these frames in the video, rising."""
    betas: Float32[np.ndarray, "n 10"]
    pose: Float32[np.ndarray, "n 24 3"]
    """As ``Bodies.pose``."""
    translation: Float32[np.ndarray, "n 3"]
    """Metres, in the axes of the camera (OpenCV); added to every vertex after posing."""
    boxes: Float32[np.ndarray, "n 4"]
    """(x0, y0, x1, y1) in pixels."""
    confidence: Float32[np.ndarray, " n"]
    """0 to 1: of the detector."""
    masks: list[CocoMask]
    """One a frame."""


@dataclass
class TrackedClip:
    """P people in F frames of a video, in the axes of a camera that does not move."""

    ids: list[int]
    """Of the tracks."""
    frames: Int[np.ndarray, " F"]
    """Numbers of the frames in the video."""
    bodies: Bodies
    boxes: Float32[np.ndarray, "P F 4"]
    """(x0, y0, x1, y1) in pixels; interpolated where the person was not found."""
    tracks: list[BodyTrack]
    image_size: tuple[int, int]
    """(H, W) in pixels."""

    @property
    def found(self) -> Bool[np.ndarray, "P F"]:
        """Whether each person was seen in each frame."""
        return self.bodies.valid

    def mask(self, person: int, frame: int) -> Bool[np.ndarray, "H W"]:
        """Where a person was seen in the so-manieth frame, in which they were found; decoded anew at each call."""
        track = self.tracks[person]
        return track.masks[int(np.searchsorted(track.frames, self.frames[frame]))].decode()


@dataclass(frozen=True)
class PhalpTracks:
    """Everybody who was seen in a video."""

    name: str
    """For messages: the file."""
    first_frame: int
    num_frames: int
    """Frames from the first on in which people were looked for."""
    image_size: tuple[int, int]
    """(H, W) in pixels."""
    intrinsics: Float32[np.ndarray, "3 3"]
    """Pixels, of all frames."""
    tracks: dict[int, BodyTrack]

    def clip(self, start: int, stop: int, step: int = 1) -> TrackedClip:
        """The frames start, start + step, … before stop, with who was seen in one of them, by the numbers of tracks.

        Gaps are bridged from all that was seen from ``start`` to ``stop``, also in frames that ``step`` leaves out, but
        from nothing beyond, which may be another shot. Each person gets one set of betas: the mean over these frames,
        weighted by the detector's confidence.

        Raises:
            ValueError: if people were not looked for in all of these frames, there are none, or nobody was seen.
        """
        end = self.first_frame + self.num_frames
        if step < 1 or not self.first_frame <= start < stop <= end:
            raise ValueError(f"{self.name}: frames {start}…{stop} by {step} of {self.first_frame}…{end} asked for")
        frames = np.arange(start, stop, step)
        seen = {number: track for number, track in sorted(self.tracks.items()) if np.isin(frames, track.frames).any()}
        if not seen:
            raise ValueError(f"{self.name}: nobody was seen in frames {start}…{stop} by {step}")
        people = [_Between.of(track, frames, start, stop) for track in seen.values()]
        bodies = Bodies(
            betas=np.stack([person.mean(person.track.betas) for person in people]),
            pose=np.stack([person.turn(person.track.pose) for person in people]),
            translation=np.stack([person.move(person.track.translation) for person in people]),
            confidence=np.stack([np.where(p.found, p.track.confidence[p.before], 0) for p in people]).astype(
                np.float32
            ),
            valid=np.stack([person.found for person in people]),
        )
        boxes = np.stack([person.move(person.track.boxes) for person in people])
        return TrackedClip(list(seen), frames, bodies, boxes, list(seen.values()), self.image_size)


@dataclass(frozen=True)
class _Between:
    """Where the frames of a clip lie among those of a track: each at ``share`` from ``before`` to ``after``."""

    track: BodyTrack
    kept: slice
    before: Int[np.ndarray, " F"]
    after: Int[np.ndarray, " F"]
    share: Float[np.ndarray, " F"]
    found: Bool[np.ndarray, " F"]

    @classmethod
    def of(cls, track: BodyTrack, frames: Int[np.ndarray, " F"], start: int, stop: int) -> _Between:
        kept = slice(*np.searchsorted(track.frames, [start, stop]).tolist())
        last = kept.stop - 1
        after = np.clip(np.searchsorted(track.frames, frames), kept.start, last)
        found = track.frames[after] == frames
        before = np.where(found | (track.frames[after] < frames), after, np.maximum(after - 1, kept.start))
        width = np.maximum(track.frames[after] - track.frames[before], 1)
        share = np.clip((frames - track.frames[before]) / width, 0, 1)
        return cls(track, kept, before, after, share, found)

    def mean(self, values: Float32[np.ndarray, "n c"]) -> Float32[np.ndarray, " c"]:
        """Over the clip, weighted by confidence."""
        return np.average(values[self.kept], axis=0, weights=self.track.confidence[self.kept]).astype(np.float32)

    def move(self, values: Float32[np.ndarray, "n c"]) -> Float32[np.ndarray, "F c"]:
        """Along straight lines."""
        share = self.share[:, None]
        return ((1 - share) * values[self.before] + share * values[self.after]).astype(np.float32)

    def turn(self, pose: Float32[np.ndarray, "n J 3"]) -> Float32[np.ndarray, "F J 3"]:
        """The shorter way round, evenly (slerp)."""
        turned, between = pose[self.before], self.before != self.after
        if not between.any():
            return turned
        here, there = (Rotation.from_rotvec(pose[side[between]].reshape(-1, 3)) for side in (self.before, self.after))
        way = (here.inv() * there).as_rotvec().reshape(-1, *pose.shape[1:])
        part = Rotation.from_rotvec((self.share[between, None, None] * way).reshape(-1, 3))
        turned[between] = (here * part).as_rotvec().reshape(way.shape)
        return turned
