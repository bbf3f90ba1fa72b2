"""The codecs of bodies, queries and media types."""
