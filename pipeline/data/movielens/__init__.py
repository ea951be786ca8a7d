"""MovieLens as a log, read through TensorFlow Datasets."""
