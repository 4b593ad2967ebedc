import numpy as np

from pipelines.evaluation.strips import LABEL_PX, LINE_PX, amplification, fastest_stretch, motion, strip


def moving(num_frames: int, fast: range) -> np.ndarray:
    """Grey clips whose level jumps by 20 from one of the ``fast`` frames to the next, and by 1 elsewhere."""
    steps = [20 if frame in fast else 1 for frame in range(num_frames - 1)]
    levels = np.concatenate([[0], np.cumsum(steps)])
    return np.broadcast_to(levels[:, None, None, None], (num_frames, 64, 48, 3)).astype(np.uint8)


def test_the_stretch_of_fastest_motion():
    video = moving(17, fast=range(7, 12))
    assert motion(video).tolist() == [20 if frame in range(7, 12) else 1 for frame in range(16)]
    assert fastest_stretch(video, 6).tolist() == [7, 8, 9, 10, 11, 12]
    assert fastest_stretch(video[:3], 6).tolist() == [0, 1, 2]
    assert fastest_stretch(video[:1], 6).tolist() == [0]


def test_differences_are_amplified_as_far_as_they_fit():
    assert amplification(np.full(1000, 60)) == 4
    assert amplification(np.zeros(1000, int)) == 32
    assert amplification(np.full(1000, 200)) == 1


def test_rows_are_input_reconstruction_and_difference():
    video = moving(9, fast=range(4))
    picture = strip(video, {"a": video, "b": video + np.uint8(10)})
    height = 128  # small frames are doubled
    assert picture.shape == (LINE_PX + 5 * (height + 2), LABEL_PX + 6 * 96, 3)
    rows = [picture[LINE_PX + i * (height + 2) :][:height, LABEL_PX:] for i in range(5)]
    levels = video[:6, 0, 0, 0]  # frames 0 to 5 are the fastest
    assert rows[0][5, 40::96, 0].tolist() == levels.tolist()
    assert np.array_equal(rows[1], rows[0])
    assert not rows[2].any()
    assert np.array_equal(rows[3], rows[0] + 10)
    assert (rows[4] == 255).all()  # 10 · 32: the factor is that of the best network
    assert (picture[:, :LABEL_PX] < 128).any()  # labels
