"""Networks for images, one architecture a file, and their initial weights. Importing the package registers them all."""

import sys

from gan_core.discovery import import_all
from image_gan.networks.base import ARCHS, Architecture
from image_gan.networks.inits import INITS, initialise
from image_gan.networks.layers import Trunk
from image_gan.networks.shape import Shape

__all__ = ["ARCHS", "INITS", "Architecture", "Shape", "Trunk", "initialise"]

import_all(sys.modules[__name__])
