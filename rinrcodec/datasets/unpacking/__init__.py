"""What `decompress` takes of packs, and what it makes of it: files, folders, videos."""
