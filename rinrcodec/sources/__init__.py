"""Pictures and labels from files: images, folders, data yaml files and videos."""
