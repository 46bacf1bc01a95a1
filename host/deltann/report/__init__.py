"""Faces of the same findings: one HTML file, the terminal."""
