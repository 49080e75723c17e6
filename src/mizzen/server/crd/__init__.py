"""CustomResourceDefinitions: kinds that come and go at run time."""
