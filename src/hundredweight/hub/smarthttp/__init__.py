"""Git over HTTP: `git upload-pack` and `git receive-pack` as child processes, streamed both ways."""
