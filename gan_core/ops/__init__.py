"""Fast implementations of convolutions and activations. Skip this package at first reading."""
