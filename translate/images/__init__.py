"""Picture files: bytes to pixels and back, with all that must survive on the way."""

from translate.images.encoding import encode_picture
from translate.images.reading import MAX_PIXELS, Picture, read_picture, read_rgb

__all__ = ["MAX_PIXELS", "Picture", "encode_picture", "read_picture", "read_rgb"]
