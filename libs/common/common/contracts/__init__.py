"""What services tell each other: one file per publishing service, pure shapes. The one place in common with product nouns."""
