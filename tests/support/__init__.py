"""Parts that tests share: made-up merchants, a tiny real artifact, a real server process."""
