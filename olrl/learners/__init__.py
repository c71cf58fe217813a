"""What learns online, behind one interface, and what its training costs."""
