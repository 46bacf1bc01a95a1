"""The run folder: Parquet tables with a versioned schema, and queries over them."""
