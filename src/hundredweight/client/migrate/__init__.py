"""`git lfs migrate`: what a history holds (`info`) and how its large files become LFS objects (`convert`, `single`)."""
