"""Fetch the ImageNet weights, verified, for the tests that compare engines; without a network these tests are skipped."""

import sys

from emwatch.errors import ModelError
from emwatch.train.network.imagenet import imagenet_xception

try:
    network, origin = imagenet_xception(None, print)
except ModelError as error:
    print(f"no weights: {error}")
else:
    network.save_weights(sys.argv[1])
    print(f"weights from {origin}")
