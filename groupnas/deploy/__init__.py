"""From a network to something that runs fast elsewhere."""
