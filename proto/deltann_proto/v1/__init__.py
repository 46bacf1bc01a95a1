"""The wire between host and agent: message definitions and the stubs generated from them."""
