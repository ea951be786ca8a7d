"""A log in Parquet or TFRecord files: its layout, one reader per format, and the conversion between formats."""
