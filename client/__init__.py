"""Inside the hospital: DICOM in, a trained update and counts out."""
