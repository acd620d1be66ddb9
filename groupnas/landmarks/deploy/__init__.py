"""The cascade as one ONNX file, and what runs it without torch."""
