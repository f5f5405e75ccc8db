"""The main job in a real browser and over HTTP, on what `make up` runs."""
