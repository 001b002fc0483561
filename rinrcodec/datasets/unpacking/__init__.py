"""The parts of `decompress`: the frames it selects, and the files, folders and videos it writes."""
