"""What is true of every object: schemas, paths, selectors, quantities, times, errors. Pure."""
