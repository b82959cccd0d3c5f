"""The offline side: from raw merchants to a verified artifact."""
