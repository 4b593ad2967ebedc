"""Bodies of the SMPL family and the points on their surface: the only folder that imports smplx or anny.

``load_body("open")`` and ``load_body("open-head")`` need nothing; ``load_body("SMPL_NEUTRAL.pkl")`` and
``load_body("FLAME2020.pkl")`` load a user's own file through the same code. ``SurfacePoints`` turns a body into what
the networks see, so that bodies and heads swap without touching a network.
"""

from models.body.load import load_body
from models.body.points import SurfacePoints
from models.body.skeleton import HEAD_JOINT_NAMES, HEAD_PARENTS, JOINT_NAMES, PARENTS
from models.body.smpl import BodyModel, BodyOutput, HeadModel

__all__ = [
    "HEAD_JOINT_NAMES",
    "HEAD_PARENTS",
    "JOINT_NAMES",
    "PARENTS",
    "BodyModel",
    "BodyOutput",
    "HeadModel",
    "SurfacePoints",
    "load_body",
]
