"""The wire between host and agent: message definitions and the stubs generated from them."""

PROTOCOL = 4
"""Version of the wire. Host and agent of different versions refuse each other in words."""
