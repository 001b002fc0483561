"""One fit of a pack, the search for a size, and what a pack reached of its target."""
