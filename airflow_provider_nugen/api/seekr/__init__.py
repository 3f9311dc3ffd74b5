"""SeekrFlow: the service, its endpoints, models, kinds of job and submissions."""
