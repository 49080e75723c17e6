"""Images: pulled, imported or built; unpacked once per machine and shared by all of its nodes."""
