"""Bytes to columns and predictions to bytes, one module a format, with no knowledge of HTTP or of the model."""
