"""How good is an image? Judged by what real pictures do, and by a second model."""
