"""Several processes that train together: the only package that imports ``torch.distributed``."""

from dettoolkit.distributed.collectives import (
    all_agree,
    any_process,
    barrier,
    broadcast_object,
    gather_objects,
    is_main_process,
    local_rank,
    max_over_processes,
    mean_over_processes,
    rank,
    sum_over_processes,
    sum_with_gradient,
    world_size,
)
from dettoolkit.distributed.data_parallel import call_at_last_bucket, wrap_ddp
from dettoolkit.distributed.devices import check_num_devices, picks_at_once, process_device, share_threads
from dettoolkit.distributed.launch import launch
from dettoolkit.distributed.process_group import destroy, initialize, restart_count, under_launcher
from dettoolkit.distributed.sharding import merge_shards, shard_indices

__all__ = [
    "all_agree",
    "any_process",
    "barrier",
    "check_num_devices",
    "broadcast_object",
    "call_at_last_bucket",
    "destroy",
    "gather_objects",
    "initialize",
    "is_main_process",
    "launch",
    "local_rank",
    "mean_over_processes",
    "max_over_processes",
    "merge_shards",
    "picks_at_once",
    "process_device",
    "rank",
    "restart_count",
    "shard_indices",
    "share_threads",
    "sum_over_processes",
    "sum_with_gradient",
    "under_launcher",
    "world_size",
    "wrap_ddp",
]
