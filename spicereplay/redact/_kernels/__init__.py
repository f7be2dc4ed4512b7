"""Hot loops, compiled; the module of the same name one level up checks, allocates and documents."""
