"""Administration of a hub: repositories, tokens, figures; on its data folder or over HTTP."""
