"""What stops a run, in a sentence for the page of the run."""


class RunProblemError(Exception):
    """A descriptor, a step or the server does not let the run go on.

    Parameters
    ----------
    sentence : str
        What is wrong, where, what to do.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
