"""Where the work of many processes is done: on this machine's cores, or through Ray on one machine or many."""
