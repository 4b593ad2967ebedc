"""Files of what somebody else made of the videos: one that is missing costs its video, a missing folder the run."""

from pathlib import Path

import pytest

from preprocessing.annotators.kept_people import NpzConfig, TrackConfig
from preprocessing.annotators.results import results_of
from preprocessing.executor import Rejected
from preprocessing.executor.outcome import MachineUnfit


def test_a_folder_that_is_gone_is_no_fault_of_the_videos(tmp_path: Path) -> None:
    config = TrackConfig(0.5, 4, 0.5, 3, 0.3, annotator="npz", npz=NpzConfig(str(tmp_path / "annotations")))
    gone = r"track_people\.npz\.folder, .*annotations, is not there any longer, or nothing is in it"
    with pytest.raises(MachineUnfit, match=gone):
        results_of("videos/a.mp4", config)
    (tmp_path / "annotations").mkdir()  # as where nothing is mounted
    with pytest.raises(MachineUnfit, match=gone):
        results_of("videos/a.mp4", config)
    (tmp_path / "annotations" / "b.npz").touch()
    with pytest.raises(Rejected, match=r"no .*annotations/a\.npz: annotate the video"):
        results_of("videos/a.mp4", config)
    (tmp_path / "annotations" / "a.npz").touch()
    assert results_of("videos/a.mp4", config) == tmp_path / "annotations" / "a.npz"
