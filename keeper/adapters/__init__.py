"""The only code that touches the world; it never imports services."""
