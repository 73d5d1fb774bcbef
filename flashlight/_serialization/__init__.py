"""PyTorch's checkpoint formats: archives, pickles and what may be in them.

`flashlight.serialization` is the public face.
"""
