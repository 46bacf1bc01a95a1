"""Boards: the client of an agent, leases, and the board that is this machine."""
