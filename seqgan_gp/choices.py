"""The choices and limits of text options. They stand apart so that settings and help need neither torch nor NumPy."""

BAD_UTF8 = ("error", "replace", "skip")  # what to do with lines that are not UTF-8
LABELLED = ("auto", "tab", "file", "none")  # where the labels of lines are
TOKENIZERS = ("byte", "char", "bpe", "unigram")
INITS = ("paper", "torch")  # initial weights of the networks
MAX_LENGTH = 4096  # symbols of a line
MAX_VOCAB_SIZE = 65535
