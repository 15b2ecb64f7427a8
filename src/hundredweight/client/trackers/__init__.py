"""Experiment trackers: runs of MLflow and Weights & Biases brought in as experiments, and experiments published to MLflow."""
