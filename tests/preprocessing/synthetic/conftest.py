import pytest

from models.body import BodyModel, load_body
from preprocessing.sample import Sample
from preprocessing.synthetic.clip import ClipSettings, synthesize


@pytest.fixture(scope="session")
def body() -> BodyModel:
    return load_body("open")


@pytest.fixture(scope="session")
def clips(body: BodyModel) -> list[Sample]:
    """Moving and static cameras, rooms and fields."""
    return [synthesize(body, ClipSettings("tiny", size=64, num_frames=5, fps=4.0), index) for index in range(8)]
