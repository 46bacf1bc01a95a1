"""Pairs of trials that differ in exactly one factor, and the statistics of each pair. Pure functions."""
