"""From landmarks and masks to an SMPL body: the parts of :mod:`preprocessing.stages.estimate_body`."""
