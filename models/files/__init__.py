"""Reading what others wrote: checkpoints, files of weights and pickles. None of their code is run."""
