"""The choices and limits of image options. They stand apart so that settings and help need neither torch nor Pillow."""

BAD_IMAGES = ("error", "skip")  # what to do with images that cannot be read
RESIZES = ("box", "bilinear", "bicubic", "lanczos")  # all antialiased: their support grows with the reduction
ARCHS = ("mlp", "dcgan", "resnet", "sn-cnn", "began")  # the keys of networks.ARCHS
INITS = ("normal", "he", "xavier", "torch")  # the keys of networks.inits.INITS
CRITIC_NORMS = ("none", "batch", "layer", "instance")
GENERATOR_NORMS = ("none", "batch", "conditional")
POOLS = ("mean", "sum")
LARGEST = 1024  # pixels a side that networks are made for
