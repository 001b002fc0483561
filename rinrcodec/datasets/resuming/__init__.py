"""Which earlier work a run of `compress` may keep: that of the same settings and inputs."""
