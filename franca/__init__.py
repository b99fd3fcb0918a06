"""The model, its training, its post-training and its evaluation."""
