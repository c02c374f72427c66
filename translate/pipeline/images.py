import numpy as np
from PIL import Image
SUFFIXES = {".jpg": "jpg", ".jpeg": "jpg", ".png": "png", ".webp": "webp"}
def read_rgb(path):
    with Image.open(path) as im:
        return np.asarray(im.convert("RGB"))
