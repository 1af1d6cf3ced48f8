"""Trains and converts the network itself; needs TensorFlow."""
