"""What is measured: signals, drift detectors, and the features made of them."""
