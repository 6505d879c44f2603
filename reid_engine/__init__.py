"""Person re-identification: crops, features, distances, paths. Knows nothing of the web."""
