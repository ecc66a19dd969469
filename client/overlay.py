"""A scored study in one picture: the slices with the highest scores, blood outlined, each with its place and score."""

import io
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bloodnet_model.prediction import Prediction
from client.strip import strip

_SHOWN: Final = 4
_ROWS: Final = 352
"""About as many a slice is drawn with, a whole number of times those that the network sees."""
_CAPTION_ROWS: Final = 24
_GREY: Final = (190, 190, 190)


@dataclass(frozen=True)
class Overlay:
    """Slices from inferior to superior, side by side.

    pixels:   uint8 (rows, slices * columns, 3), as the network sees them
    captions: of each slice
    """

    pixels: NDArray[np.uint8]
    captions: tuple[str, ...]

    def png(self) -> bytes:
        """The picture, enlarged, with its captions below and the patient's right marked: it is the viewer's left."""
        rows, columns = self.pixels.shape[:2]
        times = max(1, round(_ROWS / rows))
        size = (columns * times, rows * times)
        picture = Image.new("RGB", (size[0], size[1] + _CAPTION_ROWS))
        picture.paste(Image.fromarray(self.pixels).resize(size, Image.Resampling.BICUBIC))
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
        for place, caption in enumerate(self.captions):
            left = place * size[0] // len(self.captions)
            pen.text((left + 6, 4), "R", _GREY, font)
            pen.text((left + 6, size[1] + 4), caption, _GREY, font)
        data = io.BytesIO()
        picture.save(data, "png")
        return data.getvalue()


def overlay_of(windows: NDArray[np.uint8], prediction: Prediction) -> Overlay:
    """The slices of `windows` (slices, windows, rows, columns) in which blood of any kind is likeliest."""
    scores = prediction.slice_probabilities[:, 0]
    highest = np.sort(np.argsort(-scores, kind="stable")[:_SHOWN])
    captions = tuple(f"slice {index + 1} of {len(windows)}: {scores[index]:.2f}" for index in highest)
    return Overlay(strip(windows, prediction.mask.astype(np.uint8), highest), captions)
