"""What we ask of the world: protocols, one verb where possible."""
