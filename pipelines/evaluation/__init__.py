"""What scores and shows what networks made: measures are in ``pipelines/metrics``."""
