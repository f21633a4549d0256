"""Every code block of every page runs, and every link leads somewhere."""
