"""What training and serving must agree on: inputs, features, buckets, manifest, artifact."""
