"""The contact sheet."""

from pathlib import Path

import numpy as np
from matplotlib import image

from bloodnet_model.settings import ModelSettings
from client.dataset import load_site, prepare
from client.preview import write_preview
from tests.client.dicom_factory import uid, write_labels, write_mask, write_site


def red_pixels(path: Path) -> int:
    red, green, blue = np.moveaxis(image.imread(path)[..., :3], -1, 0)
    return int(((red > 0.8) & (green < 0.3) & (blue < 0.3)).sum())


def test_it_shows_heads_and_outlines_blood(tmp_path: Path, small: ModelSettings) -> None:
    site = write_site(tmp_path, {k: k % 2 for k in range(1, 9)})
    plain = write_preview(prepare(load_site(site), small.preprocessing))
    assert plain == site / ".bloodnet" / "preview.png"
    height, width, _ = image.imread(plain).shape
    assert height > 600
    assert width > 800
    assert red_pixels(plain) == 0

    codes = np.zeros((28, 32, 10), np.uint8)
    codes[10:18, 8:16] = 2
    write_mask(site / "m.nii", codes)
    write_labels(site / "labels.csv", [{"study_instance_uid": uid(1), "any": 1, "mask": "m.nii"}])
    assert red_pixels(write_preview(prepare(load_site(site), small.preprocessing))) > 100
