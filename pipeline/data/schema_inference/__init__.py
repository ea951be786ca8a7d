"""Infers a schema from the columns of a log and writes it as YAML."""
