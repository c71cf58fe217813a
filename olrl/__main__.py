"""`python -m olrl`, for launchers that start a module: `accelerate launch -m olrl run`, `torchrun -m olrl run`."""

from olrl.cli import main

if __name__ == "__main__":
    main()
