"""Whether real environments come out the same, whoever builds them, and as real root would install them."""
