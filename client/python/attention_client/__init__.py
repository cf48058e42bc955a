"""A client of Attention Server for Python: numpy arrays in, numpy arrays out.

    import numpy as np
    from attention_client import AttentionClient

    with AttentionClient("localhost:50051") as client:
        result = client.compute_attention(np.random.rand(8, 64).astype(np.float32), num_heads=4)
    result.output             # [8, 64]
    result.attention_weights  # [1, 4, 8, 8]

attention_client.aio has the same for asyncio.
"""

from . import aio
from ._channel import Tls
from ._retries import Retries
from ._tensors import from_bfloat16, to_bfloat16
from .calls import (AttentionCall, Options, ProjectionWeights, RotaryEmbedding, Settings,
                    partials_call, projected_call, tokens_call, weighted_call)
from .client import AttentionClient
from .errors import (AttentionError, Cancelled, DeadlineExceeded, FailedPrecondition,
                     FieldViolation, Internal, InvalidArgument, NotFound, PermissionDenied,
                     ResourceExhausted, Unavailable)
from .results import AttentionResult, EncodeResult, LayerInfo, ProbeResult, Timing, TopKeys

__version__ = "0.1.0"

__all__ = [
    "AttentionCall", "AttentionClient", "AttentionError", "AttentionResult", "Cancelled",
    "DeadlineExceeded", "EncodeResult", "FailedPrecondition", "FieldViolation", "Internal",
    "InvalidArgument", "LayerInfo", "NotFound", "Options", "PermissionDenied", "ProbeResult",
    "ProjectionWeights", "ResourceExhausted", "Retries", "RotaryEmbedding", "Settings", "Timing", "Tls",
    "TopKeys", "Unavailable", "aio", "from_bfloat16", "partials_call", "projected_call",
    "to_bfloat16", "tokens_call", "weighted_call",
]
