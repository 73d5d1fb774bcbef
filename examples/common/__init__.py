"""What the examples share: data, text, and the bookkeeping of a training run."""
