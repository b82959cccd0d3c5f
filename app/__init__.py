"""The prediction service: verifies and loads an artifact, answers POST /predict."""
