"""Flags of the preparation for clips of few pixels, which its limits would refuse."""

from preprocessing.stages.limits import BodyLimits, ClipLimits, Limit, PeopleLimits, VerifyLimits

OF_STAGE = {
    "filter_clips": ClipLimits(),
    "filter_people": PeopleLimits(),
    "filter_bodies": BodyLimits(),
    "verify_clip": VerifyLimits(),
}


def no_limits(*stages: str) -> list[str]:
    """All limits of these stages taken off."""
    return [f"--{of}.{score}.{end}=null" for of in stages for score in vars(OF_STAGE[of]) for end in vars(Limit())]
