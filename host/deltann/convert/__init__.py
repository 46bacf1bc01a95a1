"""Converters between frameworks. Every hop runs in a child process."""
