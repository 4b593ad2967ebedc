"""What programs share: the command line, the device, the MLflow run, checkpoints that are whole."""
