"""Request and response models: what /docs and openapi.json show, with examples."""
