"""Reading and writing files: user input, the cache, sealed folders, the Hugging Face hub."""
