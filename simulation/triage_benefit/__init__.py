"""What a classifier is worth in minutes: a queue of head CTs before radiologists, with and without its scores."""
