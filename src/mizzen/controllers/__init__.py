"""The controllers: one file each, pure functions from what is seen to a plan. `all` lists them."""
