"""From photos, videos and webcams to landmarks: find faces, follow them, draw what was found."""
