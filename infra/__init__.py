"""The operator's command line and everything that runs around the deployable app."""
