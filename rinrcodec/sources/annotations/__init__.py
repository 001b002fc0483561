"""Labels of whole data sets: COCO files and folders of Pascal VOC files, and their pictures."""
