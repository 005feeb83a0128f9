"""TensorBoard: its event files, read as holdings. Nothing of TensorFlow is imported."""
