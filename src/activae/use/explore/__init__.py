"""Runs as one HTML page: their weights, and a forward pass in plain JavaScript.

`layers` lists a network's layers and their numbers, `tables` samples activations such that any
elementwise one works, `page` puts both beside samples into page.html, which explore.js brings to
life. In: runs on the same data. Out: text. Errors: UserError that names the layer.
"""
