"""Ratios of speed and size against ONNX Runtime and TVM's own RPC, each measured side by side in one run."""
