"""Checks that run before training: each day of a log is compared with the days before it."""
