"""Bodies of the SMPL family and the points on their surface: the only folder that imports smplx or anny.

``load_body("open")`` needs nothing; ``load_body("SMPL_NEUTRAL.pkl")`` loads a user's own file through the same code.
``SurfacePoints`` turns a body into what the networks see, so that bodies swap without touching a network.
"""

from models.body.points import SurfacePoints
from models.body.skeleton import JOINT_NAMES, PARENTS
from models.body.smpl import BodyModel, BodyOutput, load_body

__all__ = ["JOINT_NAMES", "PARENTS", "BodyModel", "BodyOutput", "SurfacePoints", "load_body"]
