"""`nerv`: one convolutional network for every sequence (NeRV)."""
