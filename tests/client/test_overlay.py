import io

import numpy as np
from PIL import Image

from bloodnet_model.prediction import Prediction
from client.overlay import overlay_of


def test_the_slices_with_the_highest_scores_are_shown_with_their_places() -> None:
    windows = np.full((9, 2, 32, 24), 100, np.uint8)
    scores = np.zeros((9, 6))
    scores[[2, 8, 5, 3], 0] = (0.9, 0.4, 0.71, 0.2)
    scores[7, 1] = 1.0  # of another class
    mask = np.zeros((9, 16, 12), bool)
    mask[8, 4:8, 4:8] = True
    overlay = overlay_of(windows, Prediction(np.zeros(6), scores, mask))
    assert overlay.captions == ("slice 3 of 9: 0.90", "slice 4 of 9: 0.20", "slice 6 of 9: 0.71", "slice 9 of 9: 0.40")
    red = overlay.pixels[..., 0] != overlay.pixels[..., 1]  # the outline alone has colour
    assert not red[:, : 3 * 24].any()
    assert red[:, 3 * 24 :].any()


def test_the_picture_is_enlarged_and_written_on() -> None:
    windows = np.zeros((2, 1, 32, 24), np.uint8)
    prediction = Prediction(np.zeros(6), np.zeros((2, 6)), np.zeros((2, 16, 12), bool))
    overlay = overlay_of(windows, prediction)
    with Image.open(io.BytesIO(overlay.png())) as picture:
        assert picture.size == (2 * 24 * 11, 32 * 11 + 24)
        pixels = np.asarray(picture)
    assert pixels[32 * 11 :].any()  # the captions
    for left in (0, 24 * 11):
        assert pixels[:24, left : left + 24].any()  # R
        assert not pixels[24 : 32 * 11, left : left + 24 * 11].any()
