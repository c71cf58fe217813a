"""A live page of runs, served to this machine only; needs streamlit (`pip install 'olrl[dashboard]'`)."""
