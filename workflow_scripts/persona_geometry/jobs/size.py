"""What a GPU job asks a scheduler for: memory, minutes, and the batches it starts with.

The rates are those of one H100 or H200 with generous slack (see docs/slurm.md). A request that is
too small ends a job, one that is too large only waits a little longer; a retry asks for more.
"""

import math

SECONDS_TO_START = 60.0
READ_BYTES_PER_SECOND = 1e8  # a busy shared file system
FORWARD_FLOPS_PER_SECOND = 1e14  # a tenth of the card's dense bfloat16 peak
SECONDS_PER_PAIR_TOKEN = 4e-6  # twice what plain torch took over 152,064 words
SECONDS_PER_GENERATED_BYTE = 4e-13  # weights read once a token; twice what transformers took
MINUTES_AT_LEAST = 10
UNCONFIGURED_BATCH_TOKENS = 16_384


def memory_mb(weight_bytes: int, attempt: int = 1) -> int:
    """Host memory in MB: the weights pass through it on their way to the GPU.

    Args:
        weight_bytes: size of the model's weight files.
        attempt: 1, and one more at every retry.
    """
    return math.ceil((16_000 + 1.25 * weight_bytes / 1e6) * (1 + attempt) / 2)


def runtime_minutes(
    weight_bytes: int, n_prompts: int, n_personas: int, new_tokens: int, attempt: int = 1
) -> int:
    """Time limit in minutes of a job that loads a model, generates and scores.

    Args:
        weight_bytes: size of the model's weight files, two bytes a parameter.
        n_prompts: prompts in the shard.
        n_personas: personas each prompt is scored under.
        new_tokens: longest response.
        attempt: 1, and one more at every retry.
    """
    length = new_tokens + 64
    forward = weight_bytes * n_personas * length / FORWARD_FLOPS_PER_SECOND
    pairs = n_personas * (n_personas - 1) / 2 * new_tokens * SECONDS_PER_PAIR_TOKEN
    generation = weight_bytes * new_tokens * SECONDS_PER_GENERATED_BYTE
    start = SECONDS_TO_START + weight_bytes / READ_BYTES_PER_SECOND
    seconds = start + n_prompts * (forward + pairs + generation)
    return max(MINUTES_AT_LEAST, math.ceil(seconds / 60)) * attempt


def batch_tokens(configured: int, attempt: int = 1) -> int:
    """Tokens of a forward batch: as configured, then half as many at every retry.

    Where nothing is configured (0) the first attempt sizes its batches from free memory.
    """
    if attempt == 1:
        return configured
    return max(1, (configured or UNCONFIGURED_BATCH_TOKENS) >> (attempt - 1))
