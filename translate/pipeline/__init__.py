"""From bytes to pixels to batches on the device."""
