"""Batches for training and evaluation: the dataset, its shuffle windows, the tf.data service and the input clock."""
