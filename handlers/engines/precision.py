"""In which numbers a GPU's engines compute matrix products; everything else, and all that goes in and out, is float32."""

from __future__ import annotations

import torch

FP32 = "fp32"
LOWER: dict[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = (FP32, *LOWER)
# Largest error as a share of the largest expected value. Float32 sums in another order, or of products rounded as tensor cores
# do (TF32), differ by less than 1e-3; halves have 11 bits and bfloat16 has 8, and their errors add up over the layers.
TOLERANCE = {FP32: 1e-3, "fp16": 1e-2, "bf16": 4e-2}
