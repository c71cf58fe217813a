"""Learning control from hindsight: what each choice would have cost, told by constant runs side by side."""
