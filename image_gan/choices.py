"""The choices and limits of image options. They stand apart so that settings and help need neither torch nor Pillow."""

from gan_core.parts import catalogue

BAD_IMAGES = ("error", "skip")  # what to do with images that cannot be read
RESIZES = ("box", "bilinear", "bicubic", "lanczos")  # all antialiased: their support grows with the reduction
ARCHS = tuple(sorted(catalogue.read("image_gan.networks")))
INITS = ("normal", "he", "xavier", "torch")  # the keys of networks.inits.INITS
CRITIC_NORMS = ("none", "batch", "layer", "instance")
GENERATOR_NORMS = ("none", "batch", "conditional")
LARGEST = 1024  # pixels a side that networks are made for
