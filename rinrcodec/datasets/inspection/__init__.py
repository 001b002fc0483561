"""Looking at data sets that are there: what manifests list, what files hold, what is damaged."""
