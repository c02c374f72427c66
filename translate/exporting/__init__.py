"""Models as files to pass on: bundles for translate, ONNX for other programs."""
