"""Datasets that TensorFlow Datasets has prepared: their addresses, folders and features."""
