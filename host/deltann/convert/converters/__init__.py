"""Converters: each a module that a child process runs. Imported by child processes only."""
