"""The agent: runs on a board, takes artifacts over gRPC, runs timed inference, streams the results."""
