"""Two-dimensional points: the smallest domain, where what a GAN does can be seen whole."""
