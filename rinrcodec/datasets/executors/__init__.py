"""Who fits the shards: this process, processes of this machine, or Ray."""
