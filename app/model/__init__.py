"""From raw columns to predictions, with no knowledge of transport."""
