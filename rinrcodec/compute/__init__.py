"""Where and how numbers are computed: devices, threads, pixel grids, quantisation, composition."""
