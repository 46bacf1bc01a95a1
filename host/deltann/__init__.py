"""Differential testing of deployed image-recognition networks: the host controller."""
