"""Fast forms of convolutions and activations. Skip them at first reading."""
