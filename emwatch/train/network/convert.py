"""
From the Keras network to ``backbone.tflite``.

TensorFlow's own dynamic-range quantisation also quantises depthwise kernels, which LiteRT's fast path (XNNPACK) then does
not take: the graph falls into 34 pieces and is slower than in float. So the pointwise convolutions, 98 % of the weights,
are quantised here, and all else stays float: one piece, a quarter of the size.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from emwatch.classify.backbone import embedding_network, network_input
from emwatch.errors import ModelError

if TYPE_CHECKING:
    import numpy.typing as npt

#: Kinds of weights `to_tflite` can write. ``pointwise-int8`` is what ships; the others are there to be measured against.
WEIGHT_TYPES: Final = ("pointwise-int8", "float32", "float16", "dynamic-range", "integer")

#: Convolutions over fewer inputs than this (the very first one) are cheap and sensitive: they stay float.
_LEAST_INPUTS: Final = 64


def to_tflite(
    network: Any,
    outputs: list[str],
    weight_type: str = "pointwise-int8",
    calibration: npt.NDArray[np.float32] | None = None,
) -> bytes:
    """
    Convert the network with the named stretches as its one output, (1, 170, 170, 3) -> (1, features).

    ``calibration``: network inputs (n, 170, 170, 3) of real frames, by which ``integer`` sets the range of each activation.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(embedding_network(network, outputs, batch=1))
    ranges = np.zeros((0,), dtype=np.float32) if calibration is None else calibration
    if weight_type == "integer" and not len(ranges):
        raise ModelError("weights of type integer need real frames for their ranges: expected some, got none")
    if weight_type in ("float16", "dynamic-range", "integer"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weight_type == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if weight_type == "integer":
        converter.representative_dataset = lambda: ([view[np.newaxis]] for view in ranges)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # Keras tells hundreds of lines on stdout, which is for results; TensorFlow that integers begin and end as floats.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        content: bytes = converter.convert()
    return pointwise_int8(content) if weight_type == "pointwise-int8" else content


def pointwise_int8(content: bytes) -> bytes:
    """
    Quantise the weights of a float LiteRT graph's convolutions to 8 bits, one scale for each output channel.

    Activations stay float outside the convolutions and are quantised on the fly within: LiteRT's "dynamic range".
    """
    import flatbuffers  # type: ignore[import-untyped]  # comes with ai-edge-litert
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for graph in model.subgraphs:
        for operation in graph.operators:
            if model.operatorCodes[operation.opcodeIndex].builtinCode != schema.BuiltinOperator.CONV_2D:
                continue
            tensor = graph.tensors[operation.inputs[1]]
            buffer = model.buffers[tensor.buffer]
            weights = np.frombuffer(np.asarray(buffer.data, dtype=np.uint8).tobytes(), dtype="<f4").reshape(
                tensor.shape
            )
            if weights[0].size < _LEAST_INPUTS:
                continue
            quantised, scales = _by_channel(weights)
            tensor.type = schema.TensorType.INT8
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = np.zeros(len(scales), dtype=np.int64)
            tensor.quantization.quantizedDimension = 0
            buffer.data = quantised.view(np.uint8).ravel()
    builder = flatbuffers.Builder(len(content) // 3)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _by_channel(weights: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return int8 values and the scale of each output channel for weights (outputs, height, width, inputs)."""
    scales = np.abs(weights).max(axis=(1, 2, 3)) / np.float32(127)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    quantised = np.clip(np.rint(weights / scales[:, None, None, None]), -127, 127).astype(np.int8)
    return quantised, scales


def float_embeddings(network: Any, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Embed views (n, 170, 170) by a float `embedding_network`, each on its own, as the quantised one is asked."""
    return np.concatenate([np.asarray(network(view[np.newaxis], training=False)) for view in network_input(views)])


def agreement(reference: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> dict[str, float]:
    """Compare embeddings (n, features) of the same views: cosine of each row, 0 if one is all zeros; median and first percentile."""
    norms = np.linalg.norm(reference, axis=1) * np.linalg.norm(found, axis=1)
    cosines = np.divide((reference * found).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 0)
    return {
        "cosine_median": round(float(np.median(cosines)), 5),
        "cosine_percentile_1": round(float(np.percentile(cosines, 1)), 5),
    }
