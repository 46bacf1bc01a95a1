"""The frozen records that every other room passes along. No I/O; imports nothing of ours."""
