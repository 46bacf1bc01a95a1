"""The worker: a process of its own that runs one runtime's models for one lease.

It imports NumPy and the runtime, never gRPC; the agent tells it what to do through frames.
"""
