"""The activations that can be chosen: what each is, its figures, its cost, a page about all."""
