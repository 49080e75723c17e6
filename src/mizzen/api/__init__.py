"""The kinds: one file each says how it is named, defaulted, validated and shown. `kinds` lists them."""
